// Counts connections by named network (network_groups.h), by each connection's own source address, even where sources
// are grouped. Without networks it costs one comparison per event.
//
// New networks take effect partition by partition: a walk over the flow table moves the existing connections, one
// partition per step, and each event meanwhile is counted by the networks of its partition. Past openings and closings
// stay where they were counted. So the named networks and "other" add up to the totals in every view.
//
// A connection beyond connections_max is in no partition: it counts as current in "other", but its opening and closing
// count in its network.
//
// Threads: Ask on any; all others on the flow table's owner's.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

#include "collectors/addresses/network_groups.h"
#include "collectors/conntrack/flows/flow_table.h"
#include "collectors/tally/tally.h"

namespace conntally {

// A connection's key and its partition, also if it is not in the table.
struct FlowPlace {
  const FlowKey& key;
  std::size_t partition = 0;
};

class FlowGroups {
 public:
  using Networks = std::shared_ptr<const NetworkGroups>;

  void Ask(Networks networks) {
    const std::lock_guard lock(mutex_);
    asked_for_ = std::move(networks);
    asked_.store(true, std::memory_order_relaxed);
  }

  void Count(TallyWriter::Batch& batch, FlowPlace place, const GroupDelta& delta) const {
    if (networks_ == nullptr && next_ == nullptr) return;
    const Networks& networks = place.partition < moved_ ? next_ : networks_;
    AddTo(batch, networks, place.key, delta);
  }

  // Whether new networks are waiting.
  bool wanted() const { return next_ != nullptr || asked_.load(std::memory_order_relaxed); }
  // Processes one partition. True while there is more to do at once.
  bool Step(TallyWriter::Batch& batch, const FlowTable& flows) {
    if (next_ == nullptr) {
      const std::lock_guard lock(mutex_);
      if (!asked_.exchange(false, std::memory_order_relaxed)) return false;
      next_ = std::exchange(asked_for_, nullptr);
      if (next_ == nullptr) return false;
    }
    flows.Visit(moved_, [&](const FlowKey& key, const Flow& flow) {
      const int unreplied = flow.replied ? 0 : 1;
      AddTo(batch, networks_, key, {.connections = -1, .unreplied = -unreplied});
      AddTo(batch, next_, key, {.connections = 1, .unreplied = unreplied});
    });
    if (++moved_ < FlowTable::kPartitions) return true;
    networks_ = std::exchange(next_, nullptr);
    moved_ = 0;
    return false;
  }

 private:
  static void AddTo(TallyWriter::Batch& batch, const Networks& networks, const FlowKey& key, const GroupDelta& delta) {
    const GroupIndex group = networks != nullptr ? networks->Of(key.SourceAddress()) : kOtherGroup;
    if (group != kOtherGroup) batch.AddGroup(group, delta);
  }

  std::atomic<bool> asked_{false};  // relaxed: a hint to look at asked_for_
  std::mutex mutex_;
  Networks asked_for_;

  Networks networks_;      // null: none
  Networks next_;          // null: nothing to move
  std::size_t moved_ = 0;  // partitions counted by next_
};

}  // namespace conntally
