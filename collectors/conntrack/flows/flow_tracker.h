// FlowTracker: turns decoded events and dumps of the kernel's table into changes of the tallies. Uses no socket and no
// clock: a pure function of its inputs and their order.
//
// Events are applied at once, also while a dump runs on another socket. They are merged like this:
//
//  - NEW is an upsert, and DESTROY of an unknown flow is ignored, so an event that the dump has overtaken does no harm.
//  - A dumped entry may be older than an event already applied. A flow that an event changed since the dump began keeps
//    the event's state; one that was destroyed since then is not added again. The kernel makes each piece of a dump
//    while the previous one is read (netlink_recvmsg, af_netlink.c). So `destroyed_` only keeps what was destroyed
//    since two pieces ago, and for kDestroyedKept, since an entry leaves the table shortly after its DESTROY is sent.
//  - A dumped entry that was unknown is `unconfirmed` until its NEW arrives. If the dump ends first, its NEW was
//    missed, or it is older than the daemon. A flow known only from an update is also unconfirmed, until the first dump
//    has ended.
//  - The dump may be ahead by several connections of one tuple. When a NEW of another connection meets an unconfirmed
//    flow, that flow is withdrawn as if it had not been dumped: its own NEW is still to come.
//  - A dump never misses an entry that lives throughout. So once it has ended, and the events queued by then are
//    applied, a flow that neither contained is gone: the sweep closes it. In this way entries older than the
//    subscription leave the tallies, which send no DESTROY under nf_conntrack_events=2.
//
// No event is delayed, so tallies continue during a dump without a queue.
//
// Threads: one owner, the writer of `tally`.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "collectors/conntrack/decode/flow_event.h"
#include "collectors/conntrack/flows/flow_attribution.h"
#include "collectors/conntrack/flows/flow_groups.h"
#include "collectors/conntrack/flows/flow_hashes.h"
#include "collectors/conntrack/flows/flow_table.h"
#include "collectors/conntrack/flows/tracker_time.h"
#include "collectors/tally/port_counts.h"
#include "collectors/tally/tally.h"

namespace conntally {

enum class DumpReason { kStart, kInterval, kOverrun };

// What comparisons with the kernel's table corrected.
struct DumpCorrections {
  std::uint64_t missed = 0;         // in the kernel's table, not in ours
  std::uint64_t stale = 0;          // in our table, not in the kernel's
  std::uint64_t stale_told_of = 0;  // of the stale ones, those opened under the present event source
};

class FlowTracker {
 public:
  struct Options {
    SourceGrouping grouping;
    std::size_t connections_max = 0;
    KeyedHash hash;
    std::uint64_t ports_secret = 0;
  };

  FlowTracker(const Options& options, TallyWriter& tally);

  // An event with the hashes needed to find its place.
  struct Prepared {
    FlowEvent event;
    FlowHash hash = 0;
    std::uint64_t source_hash = 0;  // 0: not computed yet
  };

  // Prepare hashes the event's keys and prefetches their slots; Approach then prefetches the source's row. Prepare
  // several events, approach them all, then apply them, so that the work on some hides the cache misses of others.
  // Approach is optional.
  void Prepare(Prepared& prepared) const;
  void Approach(const Prepared& prepared) const;
  void Apply(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now);

  // A dump: Begin, its pieces and their entries, End, then SweepStep until it returns true. After a failure, begin
  // again, at once or after CancelDump.
  void BeginDump(DumpReason reason);
  // A piece was read: its entries follow.
  void BeginPiece(TrackerTime now);
  void ApplyDumped(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now);
  void EndDump(TallyWriter::Batch& batch);
  bool SweepStep(TallyWriter::Batch& batch, TrackerTime now);
  void CancelDump();

  // Moves connections to new named networks first (flow_groups.h), then gives rows to sources that need one, and frees
  // the rows of sources that make room (flow_attribution.h). One piece takes about a millisecond. True while there is
  // more to do at once.
  bool attribution_wanted() const { return groups_.wanted() || attribution_.wanted(); }
  bool AttributeStep(TallyWriter::Batch& batch, TrackerTime now) {
    if (groups_.wanted()) return groups_.Step(batch, flows_) || attribution_.wanted();
    return attribution_.Step(batch, flows_, ports_, now);
  }

  // TCP connections that ended without an answer since ForgetRefused, at most kRefusedMax; the others are only counted.
  // They are kept here because the kernel deletes a connection at once when an RST refuses it.
  struct Refused {
    FlowKey key;
    std::int32_t opened_centiseconds = 0;
    SourceRow source = kNoSourceRow;
  };
  static constexpr std::size_t kRefusedMax = 4096;
  std::span<const Refused> refused() const { return refused_; }
  void ForgetRefused() { refused_.clear(); }
  std::uint64_t refused_turned_away() const { return refused_turned_away_; }

  // All status bits (IPS_*) seen in entries since the last call.
  std::uint32_t TakeStatuses() { return std::exchange(statuses_, 0); }

  // The named networks by which connections are counted.
  FlowGroups& groups() { return groups_; }
  // Call it when the event source changes.
  void set_events_since(TrackerTime now) { events_since_centiseconds_ = now.centiseconds; }

  DumpCorrections corrections() const { return corrections_; }  // since the start
  // More flows were destroyed between two pieces than can be remembered: begin the dump again.
  bool dump_overwhelmed() const { return destroyed_.size() >= kDestroyedMax; }

  bool HasRoomFor(std::size_t connections) const { return flows_.size() + connections <= flows_.connections_max(); }
  void set_connections_max(std::size_t connections_max) { flows_.set_connections_max(connections_max); }
  // Since the start: connections not stored for lack of room, and connections whose source had no row.
  std::uint64_t connections_turned_away() const { return connections_turned_away_; }
  std::uint64_t sources_turned_away() const { return sources_turned_away_; }
  std::size_t connections_without_source() const { return attribution_.unattributed(); }
  std::size_t flow_count() const { return flows_.size(); }
  const FlowTable& flows() const { return flows_; }
  std::size_t memory_bytes() const {
    return flows_.memory_bytes() + ports_.memory_bytes() + destroyed_.memory_bytes() + destroyed_before_.memory_bytes();
  }

 private:
  enum class Phase { kIdle, kDumping, kSweeping };
  static constexpr std::size_t kDestroyedMax = 1'000'000;
  static constexpr double kDestroyedKept = 2;  // seconds, at least

  IpAddress SourceOf(const FlowKey& key) const { return GroupOf(key, grouping_); }
  void Upsert(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now);
  void Destroy(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now);
  Flow* Enter(TallyWriter::Batch& batch, const Prepared& prepared);
  static FlowPlace PlaceOf(const Prepared& prepared) {
    return {prepared.event.key, FlowTable::PartitionOf(prepared.hash)};
  }
  void CountOpened(TallyWriter::Batch& batch, Flow& flow, FlowPlace place);
  void CountMissed(TallyWriter::Batch& batch, Flow& flow, FlowPlace place);
  void SetState(TallyWriter::Batch& batch, Flow& flow, const FlowEvent& event, FlowPlace place);
  void TakeTcpState(TallyWriter::Batch& batch, Flow& flow, FlowEvent dumped, FlowPlace place);
  void Leave(TallyWriter::Batch& batch, Flow flow, FlowPlace place, const FlowEvent* destroy, TrackerTime now);
  void Withdraw(TallyWriter::Batch& batch, const Flow& flow, FlowPlace place, GroupDelta delta = {});
  void ForgetWhatWasShown();
  void ForgetDestroyed();

  void EnterOverflow(TallyWriter::Batch& batch, const Prepared& prepared);
  bool LeaveOverflow(TallyWriter::Batch& batch, std::uint8_t protocol);

  SourceGrouping grouping_;
  TallyWriter& tally_;
  FlowTable flows_;
  PortCounts ports_;
  FlowAttribution attribution_;
  FlowGroups groups_;

  Phase phase_ = Phase::kIdle;
  bool dump_is_first_ = false;
  bool adopting_ = true;  // until the first dump has ended: a flow without a NEW may be older than the daemon
  bool generation_ = false;
  bool swept_ = true;  // every flow has the present generation
  std::size_t next_partition_ = 0;
  FlowHashes destroyed_;         // since destroyed_since_
  FlowHashes destroyed_before_;  // at least as long, or since the dump began
  TrackerTime destroyed_since_{};
  int pieces_ = 0;  // since then
  DumpCorrections corrections_;
  std::int32_t events_since_centiseconds_ = 0;

  // Connections beyond connections_max: in the totals by state, in no table. Each dump counts them again.
  using OverflowCounts = std::array<std::int64_t, FlowStateIndex::kCount>;
  OverflowCounts overflow_{};
  OverflowCounts overflow_in_dump_{};
  std::int64_t overflow_sum_ = 0;
  std::uint64_t connections_turned_away_ = 0;
  std::uint64_t sources_turned_away_ = 0;
  std::uint32_t statuses_ = 0;
  std::vector<Refused> refused_;
  std::uint64_t refused_turned_away_ = 0;
};

}  // namespace conntally
