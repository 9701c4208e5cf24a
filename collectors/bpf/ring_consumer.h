// The daemon's side of the ring of conntrack events: takes records in ticket order from memory shared with the kernel.
// events/event_ring.h describes the protocol and its memory order.
//
// Threads: one, the ring's only consumer.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "collectors/bpf/events/event_ring.h"

namespace conntally {

class RingConsumer {
 public:
  // The memory must outlive this object. `records`: a power of two. `producers_max`: the number of CPUs.
  RingConsumer(std::span<const conntrack_event_record> records, conntrack_event_counters& counters,
               std::uint64_t producers_max)
      : records_(records), counters_(&counters), mask_(records.size() - 1), next_(Load(counters.consumed)) {
    // A ring that was used before continues where its last consumer stopped.
    Store(counters.mask, static_cast<unsigned>(mask_));
    Store(counters.room, records.size() - producers_max);
  }

  // The namespace whose events are wanted from now on; 0: none.
  void set_namespace(std::uint32_t inode) { Store(counters_->namespace_inode, inode); }

  // The next records that are contiguous in memory, at most `max`. They are valid until the next call, which returns
  // their slots to the producers. Empty: there is none, or the next one is still being written.
  std::span<const conntrack_event_record> Take(std::uint64_t max) {
    Store(counters_->consumed, next_);
    const std::uint64_t first = next_ & mask_;
    const std::uint64_t limit = max < records_.size() - first ? max : records_.size() - first;
    std::uint64_t count = 0;
    while (count < limit && Load(records_[first + count].sequence) == next_ + count + 1) ++count;
    next_ += count;
    return records_.subspan(first, count);
  }

  // How many tickets were issued, and how many of their records Take has returned.
  std::uint64_t handed_out() const { return Load(counters_->handed_out); }
  std::uint64_t taken() const { return next_; }

  // Events that found no room, since the ring was created.
  std::uint64_t turned_away() const { return Load(counters_->turned_away); }

 private:
  template <typename T>
  static T Load(const T& field) {
    return __atomic_load_n(&field, __ATOMIC_ACQUIRE);
  }
  template <typename T>
  static void Store(T& field, std::type_identity_t<T> value) {
    __atomic_store_n(&field, value, __ATOMIC_RELEASE);
  }

  std::span<const conntrack_event_record> records_;
  conntrack_event_counters* counters_;
  std::uint64_t mask_;
  std::uint64_t next_;
};

}  // namespace conntally
