// A subscription to the conntrack events NEW, UPDATE and DESTROY of one network namespace, received many at a time,
// whatever way they come: netlink_event_stream.h, bpf_event_stream.h. Each way hands out what it received as it is; who
// takes it decodes it, one call an event and none of them virtual.
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
  // Few, so that they stay in the cache from being copied to being decoded.
  static constexpr unsigned kBatch = 128;

  struct Received {
    // One of the two, as they came; valid until the next call.
    std::vector<std::span<const std::byte>> messages;
    std::span<const conntrack_event_record> records;
    unsigned events = 0;  // read, of whatever kind
    bool drained = true;  // no more was queued
  };

  EventStream() = default;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  virtual ~EventStream() = default;

  // Whatever is queued, up to kBatch events, without waiting.
  virtual Result<const Received*> Receive() = 0;

  // Events lost since the last call.
  virtual Result<std::uint32_t> TakeLosses() = 0;

  virtual EventSource source() const = 0;
  // The way in detail, where there are several; for the log.
  virtual std::string way() const { return {}; }
  // Memory that queued events may fill, as granted, and how many of the smallest ones fit.
  virtual std::uint32_t buffer_bytes() const = 0;
  virtual std::uint64_t capacity_events() const = 0;
  // Readable once an event is queued; -1: nothing tells, so it is to be asked again and again.
  virtual int fd() const = 0;
  // Whether the kernel, where nf_conntrack_events is 2, prepares new connections for events on its account.
  virtual bool listens() const { return true; }
};

}  // namespace conntally
