// A subscription to the conntrack events NEW, UPDATE and DESTROY of one network namespace, received many at a time,
// from netlink (netlink_event_stream.h) or BPF (bpf_event_stream.h). Each returns the raw input; the receiver decodes
// it, with one non-virtual call per event.
//
// Threads: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "collectors/bpf/events/event_ring.h"
#include "collectors/system/event_source.h"
#include "collectors/system/result.h"

namespace conntally {

class EventStream {
 public:
  // Few enough to stay in the cache from the copy to the decoding.
  static constexpr unsigned kBatch = 128;

  struct Received {
    // One of the two, unchanged; valid until the next call.
    std::vector<std::span<const std::byte>> messages;
    std::span<const conntrack_event_record> records;
    unsigned events = 0;  // read, of any kind
    bool drained = true;  // no more events were queued
  };

  EventStream() = default;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  virtual ~EventStream() = default;

  // Receives the queued events, up to kBatch, without waiting.
  virtual Result<const Received*> Receive() = 0;

  // Events lost since the last call.
  virtual Result<std::uint32_t> TakeLosses() = 0;

  virtual EventSource source() const = 0;
  // Details of the source, if it has several forms; for the log.
  virtual std::string way() const { return {}; }
  // The granted memory for queued events, and how many of the smallest fit.
  virtual std::uint32_t buffer_bytes() const = 0;
  virtual std::uint64_t capacity_events() const = 0;
  // Readable once an event is queued; -1: there is no notification, so poll Receive.
  virtual int fd() const = 0;
  // Whether it counts as a listener for nf_conntrack_events=2, so that the kernel prepares new connections for events.
  virtual bool listens() const { return true; }
};

}  // namespace conntally
