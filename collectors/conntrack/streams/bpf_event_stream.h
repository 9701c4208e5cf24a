// The subscription to conntrack events by a BPF program: it takes them where the kernel would build netlink's message,
// so that no message is built, copied and queued.
//
// Threads: one owner.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "collectors/bpf/attached_events.h"
#include "collectors/conntrack/streams/event_stream.h"
#include "collectors/netlink/socket.h"

namespace conntally {

class BpfEventStream : public EventStream {
 public:
  // For the calling thread's network namespace. At least `capacity_events` may wait. Prefers a pinned program to
  // loading its own.
  static Result<std::unique_ptr<EventStream>> Open(std::uint64_t capacity_events);

  Result<const Received*> Receive() override;
  // Events that found no room, and events of all namespaces for which the kernel did not run the program.
  Result<std::uint32_t> TakeLosses() override;

  EventSource source() const override { return EventSource::kBpf; }
  std::string way() const override { return events_->way(); }
  std::uint32_t buffer_bytes() const override;
  std::uint64_t capacity_events() const override { return events_->capacity_events(); }
  int fd() const override { return -1; }
  bool listens() const override { return listener_.has_value(); }

 private:
  BpfEventStream(std::unique_ptr<AttachedEvents> events, std::optional<NetlinkSocket> listener);
  Result<std::uint64_t> CountLosses() const;

  std::unique_ptr<AttachedEvents> events_;
  std::optional<NetlinkSocket> listener_;
  std::uint64_t losses_seen_ = 0;
  Received received_;
};

}  // namespace conntally
