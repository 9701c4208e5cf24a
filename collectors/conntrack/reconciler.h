// Reconciler: decides when the tallies are compared with the kernel's whole table, and walks one comparison step by
// step beside the events (the rules by which both meet: flow_tracker.h).
//
//   due, queue drained ──Begin──> dumping ──last piece──> draining ──queue drained──> sweeping ──last partition──> done
//
// It is due at the start, each `interval`, and promptly after a loss; after losses that go on, no
// sooner than the last comparison took, and a quarter of a second.
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
  // Events were lost, so far as is known up to now: what no later comparison confirms is stale.
  void NoteLoss();
  // The subscription is new: whatever happened before it is unknown.
  void Restart();

  // Comparisons that were done to their end.
  std::uint64_t comparisons() const { return comparisons_; }

  bool active() const { return phase_ != Phase::kIdle; }
  // When it wants to be called next while not active.
  Clock::time_point due() const;

  // One step, of about a millisecond: begins when due, goes on when active. `drained`: every event queued before this
  // call has been applied. An error means that the kernel does not answer.
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
  bool loss_unmended_ = false;  // since before the comparison under way, if any
  bool loss_while_active_ = false;
  std::optional<NetlinkSocket> dump_;  // a socket of its own for each: a dump given up is gone with it
  ReplyBuffer replies_;
  std::vector<FlowTracker::Prepared> piece_;
  Clock::time_point began_{};
  Clock::time_point finished_{};
  Clock::duration lasted_{};
};

}  // namespace conntally
