// Chooses the source of conntrack events among those that are configured and available.
//
// Threads: the collector's, unless stated otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "collectors/conntrack/streams/event_stream.h"

namespace conntally {

class EventSourceChoice {
 public:
  EventSourceChoice(WantedEventSource wanted, std::uint32_t receive_buffer_bytes)
      : wanted_(wanted), receive_buffer_bytes_(receive_buffer_bytes) {}

  // A new subscription. Each time the choice changes, logs which source it is, and why not the other.
  Result<std::unique_ptr<EventStream>> Open();

  // Opens netlink beside `stream`, for good, because `stream` proved wrong for this many connections. From then on both
  // deliver every event; events that netlink does not have are already in `stream`.
  Result<std::unique_ptr<EventStream>> FallBack(std::uint64_t wrong_connections);

  std::uint64_t fallbacks() const { return fallbacks_.load(std::memory_order_relaxed); }  // any thread

 private:
  Result<std::unique_ptr<EventStream>> OpenNetlink();
  void Tell(std::string what);

  const WantedEventSource wanted_;
  const std::uint32_t receive_buffer_bytes_;
  bool distrusted_ = false;
  std::string told_;
  std::atomic<std::uint64_t> fallbacks_{0};
};

}  // namespace conntally
