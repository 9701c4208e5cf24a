// Reconciler: decides when the tallies are compared with the kernel's whole table, and runs a comparison step by step
// beside the events (flow_tracker.h says how they are merged).
//
//   due, queue drained ──Begin──> dumping ──last piece──> draining ──queue drained──> sweeping ──last partition──> done
//
// It is due at the start, every `interval`, and promptly after a loss. If losses continue, it waits at least as long as
// the last comparison took, and a quarter of a second.
//
// Threads: the collector's.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "collectors/conntrack/conntrack_health.h"
#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/netlink/query.h"

namespace conntally {

class Reconciler {
 public:
  using Clock = std::chrono::steady_clock;

  Reconciler(FlowTracker& tracker, TallyWriter& tally, ConntrackHealth& health, std::chrono::milliseconds interval);

  void set_interval(std::chrono::milliseconds interval) { interval_ = interval; }
  // Call it when events were lost: until a later comparison ends, the tallies are stale.
  void NoteLoss();
  // Call it for a new subscription: changes before it are unknown.
  void Restart();

  // Completed comparisons.
  std::uint64_t comparisons() const { return comparisons_; }
  // When the current or last one began.
  Clock::time_point began() const { return began_; }

  bool active() const { return phase_ != Phase::kIdle; }
  // When to call Step next, if not active.
  Clock::time_point due() const;

  // One step of about a millisecond: begins a comparison if due, continues an active one. `drained`: every event queued
  // before this call has been applied. An error: the kernel does not answer.
  Status Step(Clock::time_point now, TrackerTime time, bool drained);

 private:
  enum class Phase { kIdle, kDumping, kDraining, kSweeping };

  Status Begin(Clock::time_point now);
  Status ReadPiece(TrackerTime time);
  void Finish(Clock::time_point now);

  FlowTracker& tracker_;
  TallyWriter& tally_;
  ConntrackHealth& health_;
  std::chrono::milliseconds interval_;

  Phase phase_ = Phase::kIdle;
  DumpReason reason_ = DumpReason::kStart;
  bool first_done_ = false;
  std::uint64_t comparisons_ = 0;
  bool loss_unmended_ = false;  // a loss from before the current comparison, if any
  bool loss_while_active_ = false;
  std::optional<NetlinkSocket> dump_;  // a new socket for each dump: closing it ends an abandoned dump
  ReplyBuffer replies_;
  std::vector<FlowTracker::Prepared> piece_;
  Clock::time_point began_{};
  Clock::time_point finished_{};
  Clock::duration lasted_{};
};

}  // namespace conntally
