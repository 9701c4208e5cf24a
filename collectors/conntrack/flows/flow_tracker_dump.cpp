// FlowTracker's handling of dumps, and of connections beyond connections_max, which only dumps count correctly.
#include "collectors/conntrack/flows/flow_reading.h"
#include "collectors/conntrack/flows/flow_tracker.h"

namespace conntally {
namespace {

bool OpenedSince(const Flow& flow, std::int32_t centiseconds) {
  const std::uint32_t later =
      static_cast<std::uint32_t>(flow.opened_centiseconds) - static_cast<std::uint32_t>(centiseconds);
  return static_cast<std::int32_t>(later) >= 0;
}

}  // namespace

void FlowTracker::BeginDump(DumpReason reason) {
  phase_ = Phase::kDumping;
  dump_is_first_ = reason == DumpReason::kStart;
  // Two generations distinguish seen from unseen only if the last sweep left one.
  if (!swept_) ForgetWhatWasShown();
  generation_ = !generation_;
  swept_ = false;
  overflow_in_dump_.fill(0);
  ForgetDestroyed();
}

void FlowTracker::BeginPiece(TrackerTime now) {
  if (++pieces_ == 1) destroyed_since_ = now;
  if (pieces_ <= 2 || SecondsSince(destroyed_since_.centiseconds, now) < kDestroyedKept) return;
  destroyed_before_ = std::exchange(destroyed_, {});
  pieces_ = 0;
}

void FlowTracker::ForgetDestroyed() {
  destroyed_.Clear();
  destroyed_before_.Clear();
  pieces_ = 0;
}

// A dump that was given up has marked some flows with its generation, which proves nothing to the next one. Rare, so it
// may take some milliseconds a million flows.
void FlowTracker::ForgetWhatWasShown() {
  for (std::size_t partition = 0; partition < FlowTable::kPartitions; ++partition) {
    flows_.Sweep(partition, [&](const FlowKey&, Flow& flow) {
      flow.generation = generation_;
      return false;
    });
  }
}

void FlowTracker::CancelDump() {
  phase_ = Phase::kIdle;
  ForgetDestroyed();
}

void FlowTracker::ApplyDumped(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now) {
  const FlowEvent& event = prepared.event;
  statuses_ |= event.status;
  Flow* flow = flows_.Find(event.key, prepared.hash);
  if (flow != nullptr && IsOtherLife(*flow, event) && flow->generation != generation_) {
    // Another connection of the tuple than ours, whose events were lost or are still to come; they will not match its
    // id.
    Leave(batch, *flow, PlaceOf(prepared), nullptr, now);
    flows_.Erase(*flow, event.key.family, prepared.hash);
    flow = nullptr;
  }
  if (flow != nullptr) {
    if (flow->generation == generation_) {  // known from a later event, or dumped twice
      if (flow->protocol == FlowStateIndex::kTcp && flow->tcp_state == 0)
        TakeTcpState(batch, *flow, event, PlaceOf(prepared));
      return;
    }
    flow->generation = generation_;
    return SetState(batch, *flow, event, PlaceOf(prepared));
  }
  if (destroyed_.Contains(prepared.hash) || destroyed_before_.Contains(prepared.hash)) return;
  flow = Enter(batch, prepared);
  if (flow == nullptr) {
    ++overflow_in_dump_[StateOf(event).value()];
    return;
  }
  if (event.start_ns != 0) {
    flow->opened_centiseconds = OpeningOf(event.start_ns, now);
    flow->opening_known = true;
  }
  flow->unconfirmed = overflow_sum_ == 0 || !LeaveOverflow(batch, event.key.protocol);
}

void FlowTracker::EndDump(TallyWriter::Batch& batch) {
  phase_ = Phase::kSweeping;
  adopting_ = false;
  next_partition_ = 0;
  ForgetDestroyed();
  for (std::size_t i = 0; i < overflow_.size(); ++i) {
    const std::int64_t change = overflow_in_dump_[i] - overflow_[i];
    if (change == 0) continue;
    batch.AddConnections(FlowStateIndex(i), static_cast<int>(change));
    batch.AddUnattributed(static_cast<int>(change), 0);
    if (change > 0) connections_turned_away_ += static_cast<std::uint64_t>(change);
    overflow_[i] = overflow_in_dump_[i];
    overflow_sum_ += change;
  }
}

bool FlowTracker::SweepStep(TallyWriter::Batch& batch, TrackerTime now) {
  flows_.Sweep(next_partition_, [&](const FlowKey& key, Flow& flow) {
    const FlowPlace place{key, next_partition_};
    if (flow.generation != generation_) {
      ++corrections_.stale;
      if (flow.opening_known && OpenedSince(flow, events_since_centiseconds_)) ++corrections_.stale_told_of;
      Leave(batch, flow, place, nullptr, now);
      return true;
    }
    if (flow.unconfirmed) {
      CountMissed(batch, flow, place);
      flow.unconfirmed = false;
    }
    return false;
  });
  if (++next_partition_ < FlowTable::kPartitions) return false;
  phase_ = Phase::kIdle;
  swept_ = true;
  return true;
}

void FlowTracker::EnterOverflow(TallyWriter::Batch& batch, const Prepared& prepared) {
  const FlowEvent& event = prepared.event;
  const FlowStateIndex state = StateOf(event);
  ++connections_turned_away_;
  ++overflow_[state.value()];
  ++overflow_sum_;
  batch.AddConnections(state, 1);
  batch.AddUnattributed(1, 0);
  batch.AddOpened(event.key.protocol);
  groups_.Count(batch, PlaceOf(prepared), {.opened = 1});
}

// A connection of the protocol that was turned away has ended or entered; which one, and so its state, is unknown.
// False if there is none.
bool FlowTracker::LeaveOverflow(TallyWriter::Batch& batch, std::uint8_t protocol) {
  const auto leave = [&](FlowStateIndex state) {
    std::int64_t& count = overflow_[state.value()];
    if (count == 0) return false;
    --count;
    --overflow_sum_;
    batch.AddConnections(state, -1);
    batch.AddUnattributed(-1, 0);
    return true;
  };
  if (protocol != FlowStateIndex::kTcp) {
    return leave(FlowStateIndex::Other(protocol, false)) || leave(FlowStateIndex::Other(protocol, true));
  }
  for (std::uint8_t state = 0; state < FlowStateIndex::kTcpStates; ++state) {
    if (leave(FlowStateIndex::Tcp(state))) return true;
  }
  return false;
}

}  // namespace conntally
