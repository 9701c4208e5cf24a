// FlowTracker: turns decoded events and dumps of the kernel's table into changes of the tallies. Knows no
// socket and no clock: a pure function of what it is given, in the order it is given.
//
// Events are applied at once, also while a dump runs on another socket; the two meet like this:
//
//  - NEW is an upsert, DESTROY of an unknown flow is nothing, so an event that the dump has overtaken does no harm.
//  - A dumped entry may be older than an event applied already. A flow that an event touched since the dump began keeps
//    the event's state; one that was destroyed since then is not brought back. The kernel makes each piece of a dump
//    while the one before it is read (netlink_recvmsg, af_netlink.c), so `destroyed_` holds what was destroyed two
//    pieces back, and kDestroyedKept, since an entry's DESTROY is sent shortly before it leaves the table.
//  - A dumped entry that was not known is `unconfirmed` until its NEW arrives, or until the dump ends: then its NEW was
//    missed, or it is older than the daemon. So is one that an update tells of, until the first dump has ended.
//  - The dump may be several lives of a tuple ahead. When a NEW of another life meets an unconfirmed flow, that is
//    withdrawn as if it had never been shown: its own NEW is still to come.
//  - A dump never misses an entry that lives throughout. So once it has ended, and the events that were queued by then
//    are applied, a flow that neither showed is gone: the sweep closes it. Entries older than the subscription under
//    nf_conntrack_events=2, which never send DESTROY, leave the tallies this way.
//
// This holds no events back, so tallies go on during a dump and need no queue for it.
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

// What a whole comparison with the kernel's table set right.
struct DumpCorrections {
  std::uint64_t missed = 0;         // in the kernel, not in ours
  std::uint64_t stale = 0;          // in ours, not in the kernel
  std::uint64_t stale_told_of = 0;  // of them, those that opened since events come as they do now
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

  // An event with the hashes that finding its place needs.
  struct Prepared {
    FlowEvent event;
    FlowHash hash = 0;
    std::uint64_t source_hash = 0;  // 0: not needed so far
  };

  // Hashes the event's keys and brings their places in the tables towards the cache; Approach follows them one step on,
  // to the source. Prepare some, approach them all, then apply them: what one waits for, the others' work covers.
  // Approach may be left out.
  void Prepare(Prepared& prepared) const;
  void Approach(const Prepared& prepared) const;
  void Apply(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now);

  // A dump: Begin, its pieces and their entries, End, then SweepStep until it returns true. One that broke off is begun
  // again, at once or after CancelDump.
  void BeginDump(DumpReason reason);
  // A piece was read: its entries follow.
  void BeginPiece(TrackerTime now);
  void ApplyDumped(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now);
  void EndDump(TallyWriter::Batch& batch);
  bool SweepStep(TallyWriter::Batch& batch, TrackerTime now);
  void CancelDump();

  // Gives sources that came without a row, or have deserved one, theirs, and takes it from those that make room
  // (flow_attribution.h): a piece of it, of about a millisecond. True while there is more to do at once.
  // First of all, new named networks get their connections (flow_groups.h).
  bool attribution_wanted() const { return groups_.wanted() || attribution_.wanted(); }
  bool AttributeStep(TallyWriter::Batch& batch, TrackerTime now) {
    if (groups_.wanted()) return groups_.Step(batch, flows_) || attribution_.wanted();
    return attribution_.Step(batch, flows_, ports_, now);
  }

  // TCP connections that ended without an answer since ForgetRefused, as many as kRefusedMax, the others counted: what
  // an RST refuses the kernel forgets at once, so that the flow table never shows it for long.
  struct Refused {
    FlowKey key;
    std::int32_t opened_centiseconds = 0;
    SourceRow source = kNoSourceRow;
  };
  static constexpr std::size_t kRefusedMax = 4096;
  std::span<const Refused> refused() const { return refused_; }
  void ForgetRefused() { refused_.clear(); }
  std::uint64_t refused_turned_away() const { return refused_turned_away_; }

  // The status bits (IPS_*) of all entries told of since the last call, together.
  std::uint32_t TakeStatuses() { return std::exchange(statuses_, 0); }

  // The named networks that connections are counted by.
  FlowGroups& groups() { return groups_; }
  // Events come by another way from now on.
  void set_events_since(TrackerTime now) { events_since_centiseconds_ = now.centiseconds; }

  DumpCorrections corrections() const { return corrections_; }  // since the start
  // More was destroyed between two pieces than should be remembered: begin the dump again.
  bool dump_overwhelmed() const { return destroyed_.size() >= kDestroyedMax; }

  bool HasRoomFor(std::size_t connections) const { return flows_.size() + connections <= flows_.connections_max(); }
  void set_connections_max(std::size_t connections_max) { flows_.set_connections_max(connections_max); }
  // Since the start: connections not kept for want of room, and connections whose source had no row.
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
  bool adopting_ = true;  // the first dump has not ended: what no NEW told of may be older than the daemon
  bool generation_ = false;
  bool swept_ = true;  // every flow is of the present generation
  std::size_t next_partition_ = 0;
  FlowHashes destroyed_;         // since destroyed_since_
  FlowHashes destroyed_before_;  // at least as long, or since the dump began
  TrackerTime destroyed_since_{};
  int pieces_ = 0;  // since then
  DumpCorrections corrections_;
  std::int32_t events_since_centiseconds_ = 0;

  // Connections beyond connections_max: in the totals by state, in no table. Each dump counts them afresh.
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
