// Which way conntrack events come, of those that are wanted and can be had.
//
// Threads: the collector's; what is said to be of any is atomic.
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

  // A new subscription. The log tells which way it is, and why not the other, each time that this changes.
  Result<std::unique_ptr<EventStream>> Open();

  // Opens netlink beside `stream`, for good: what `stream` brings has proved wrong of so many connections. From then on
  // every event comes by both; each event that netlink does not have is in `stream` already.
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
