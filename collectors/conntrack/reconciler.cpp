#include "collectors/conntrack/reconciler.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <algorithm>

#include "collectors/conntrack/decode/decode.h"

namespace conntally {
namespace {

constexpr std::chrono::milliseconds kPauseMin{250};

template <typename Counter>
void Increment(Counter& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace

Reconciler::Reconciler(FlowTracker& tracker, TallyWriter& tally, ConntrackHealth& health,
                       std::chrono::milliseconds interval)
    : tracker_(tracker), tally_(tally), health_(health), interval_(interval) {}

void Reconciler::NoteLoss() {
  loss_unmended_ = true;
  loss_while_active_ = active();
  health_.synced.store(false, std::memory_order_relaxed);
}

void Reconciler::Restart() {
  if (active()) tracker_.CancelDump();
  phase_ = Phase::kIdle;
  dump_.reset();
  if (first_done_) NoteLoss();
  lasted_ = {};
}

Reconciler::Clock::time_point Reconciler::due() const {
  if (!first_done_) return Clock::time_point::min();
  if (loss_unmended_) return finished_ + std::max<Clock::duration>(lasted_, kPauseMin);
  return began_ + interval_;
}

Status Reconciler::Step(Clock::time_point now, TrackerTime time, bool drained) {
  switch (phase_) {
    // Only with the queue drained: a NEW from before a loss, applied after the dump began, would make a connection
    // whose DESTROY was lost look alive.
    case Phase::kIdle: return drained && now >= due() ? Begin(now) : Ok();
    case Phase::kDumping: return ReadPiece(time);
    case Phase::kDraining:
      if (drained) {
        TallyWriter::Batch batch(tally_);
        tracker_.EndDump(batch);
        phase_ = Phase::kSweeping;
      }
      return Ok();
    case Phase::kSweeping: {
      TallyWriter::Batch batch(tally_);
      if (tracker_.SweepStep(batch, time)) Finish(now);
      return Ok();
    }
  }
  return Ok();
}

Status Reconciler::Begin(Clock::time_point now) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  const NetlinkRequest whole_table(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NetlinkRequest::Wants::kDump);
  if (const auto sent = SendRequest(*socket, whole_table); !sent) return sent.error();
  dump_ = std::move(*socket);
  reason_ = !first_done_ ? DumpReason::kStart : loss_unmended_ ? DumpReason::kOverrun : DumpReason::kInterval;
  tracker_.BeginDump(reason_);
  loss_while_active_ = false;
  began_ = now;
  phase_ = Phase::kDumping;
  return Ok();
}

Status Reconciler::ReadPiece(TrackerTime time) {
  piece_.clear();
  const auto progress = ReceiveReplies(*dump_, replies_, [&](Bytes message) {
    FlowTracker::Prepared& prepared = piece_.emplace_back();
    switch (DecodeFlow(message, prepared.event)) {
      case DecodeOutcome::kFlow: return tracker_.Prepare(prepared);
      case DecodeOutcome::kControl: break;
      case DecodeOutcome::kUnsupported: Increment(health_.messages_unsupported); break;
      case DecodeOutcome::kMalformed: Increment(health_.messages_malformed); break;
    }
    piece_.pop_back();
  });
  if (!progress && progress.error().code != EINTR) return progress.error();
  if (!progress || tracker_.dump_overwhelmed()) return Begin(began_);

  TallyWriter::Batch batch(tally_);
  tracker_.BeginPiece(time);
  for (const FlowTracker::Prepared& prepared : piece_) tracker_.ApplyDumped(batch, prepared, time);
  if (progress.value() == ReplyProgress::kDone) {
    dump_.reset();
    phase_ = Phase::kDraining;
  }
  return Ok();
}

void Reconciler::Finish(Clock::time_point now) {
  phase_ = Phase::kIdle;
  finished_ = now;
  lasted_ = now - began_;
  first_done_ = true;
  ++comparisons_;
  loss_unmended_ = loss_while_active_;

  Increment(health_.reconciles[static_cast<std::size_t>(reason_)]);
  const DumpCorrections corrections = tracker_.corrections();
  health_.corrections_missed.store(corrections.missed, std::memory_order_relaxed);
  health_.corrections_stale.store(corrections.stale, std::memory_order_relaxed);
  using std::chrono::duration_cast;
  health_.last_reconcile_duration_us.store(duration_cast<std::chrono::microseconds>(lasted_).count(),
                                           std::memory_order_relaxed);
  health_.last_reconcile_wall_ms.store(
      duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(),
      std::memory_order_relaxed);
  health_.synced.store(!loss_unmended_, std::memory_order_relaxed);
  health_.reconciled.store(true, std::memory_order_relaxed);
}

}  // namespace conntally
