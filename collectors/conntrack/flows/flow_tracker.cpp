#include "collectors/conntrack/flows/flow_tracker.h"

#include "collectors/conntrack/flows/flow_reading.h"

namespace conntally {

FlowTracker::FlowTracker(const Options& options, TallyWriter& tally)
    : grouping_(options.grouping),
      tally_(tally),
      flows_(options.connections_max, options.hash),
      ports_(options.ports_secret),
      attribution_(options.grouping, options.hash, tally) {}

void FlowTracker::Prepare(Prepared& prepared) const {
  prepared.hash = flows_.Hash(prepared.event.key);
  flows_.Prefetch(prepared.event.key, prepared.hash);
  // A known flow leads to its source; seldom for NEW, and during the first dump.
  const bool likely_known = prepared.event.kind != EventKind::kNew && phase_ != Phase::kDumping;
  prepared.source_hash = likely_known ? 0 : tally_.Hash(SourceOf(prepared.event.key));
  if (!likely_known) tally_.Prefetch(prepared.source_hash);
}

void FlowTracker::Approach(const Prepared& prepared) const {
  const FlowEvent& event = prepared.event;
  SourceRow source = kNoSourceRow;
  if (event.kind == EventKind::kNew) {
    source = tally_.LikelyRow(prepared.source_hash);
  } else if (event.kind == EventKind::kDestroy) {
    const Flow* flow = flows_.Find(event.key, prepared.hash);
    if (flow != nullptr) source = flow->source;
  }
  if (source == kNoSourceRow) return;
  tally_.PrefetchRow(source);
  if (HasPorts(event.key.protocol)) ports_.Prefetch(source, event.key.destination_port);
}

void FlowTracker::Apply(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now) {
  statuses_ |= prepared.event.status;
  if (prepared.event.kind == EventKind::kDestroy) {
    Destroy(batch, prepared, now);
  } else {
    Upsert(batch, prepared, now);
  }
}

void FlowTracker::Upsert(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now) {
  const FlowEvent& event = prepared.event;
  const FlowPlace place = PlaceOf(prepared);
  const bool is_new = event.kind == EventKind::kNew;
  if (phase_ == Phase::kDumping && is_new) {
    destroyed_.Erase(prepared.hash);
    destroyed_before_.Erase(prepared.hash);
  }
  Flow* flow = flows_.Find(event.key, prepared.hash);
  if (flow != nullptr && IsOtherLife(*flow, event)) {
    // The tuple's previous connection ended unseen, or this is a late event of it. Only a NEW is certain.
    if (!is_new) return;
    if (flow->unconfirmed) {
      Withdraw(batch, *flow, place);
    } else {
      Leave(batch, *flow, place, nullptr, now);
    }
    flows_.Erase(*flow, event.key.family, prepared.hash);
    flow = nullptr;
  }
  if (flow == nullptr) {
    flow = Enter(batch, prepared);
    if (flow == nullptr) {
      if (is_new || (overflow_sum_ == 0 && !adopting_)) EnterOverflow(batch, prepared);  // otherwise the dump counts it
      return;
    }
    // When there is room again, connections turned away before enter; they were counted as opened then.
    if (!is_new && overflow_sum_ > 0 && LeaveOverflow(batch, event.key.protocol)) return;
    if (!is_new && (phase_ == Phase::kDumping || adopting_)) {
      flow->unconfirmed = true;  // it exists, but its NEW was not seen: the dump's end decides what that means
      return;
    }
    flow->opened_centiseconds = now.centiseconds;
    flow->opening_known = is_new;
    return CountOpened(batch, *flow, place);
  }
  if (flow->unconfirmed && is_new) {
    flow->unconfirmed = false;
    flow->opened_centiseconds = now.centiseconds;
    flow->opening_known = true;
    CountOpened(batch, *flow, place);
  }
  SetState(batch, *flow, event, place);
  flow->generation = generation_;
}

void FlowTracker::Destroy(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now) {
  const FlowEvent& event = prepared.event;
  if (phase_ == Phase::kDumping) destroyed_.Insert(prepared.hash);
  Flow* flow = flows_.Find(event.key, prepared.hash);
  if (flow == nullptr) {
    if (overflow_sum_ == 0 || !LeaveOverflow(batch, event.key.protocol)) return;
    batch.AddClosed(event.key.protocol);
    groups_.Count(batch, PlaceOf(prepared), {.closed = 1});
    return;
  }
  if (IsOtherLife(*flow, event)) return;  // a repeated DESTROY of the tuple's previous connection
  Leave(batch, *flow, PlaceOf(prepared), &event, now);
  flows_.Erase(*flow, event.key.family, prepared.hash);
}

// Adds a connection to the totals and to its source. nullptr if there is no room for it.
Flow* FlowTracker::Enter(TallyWriter::Batch& batch, const Prepared& prepared) {
  const FlowEvent& event = prepared.event;
  Flow* flow = flows_.Insert(event.key, prepared.hash);
  if (flow == nullptr) return nullptr;
  bool port_is_new = false;
  try {
    const IpAddress source = SourceOf(event.key);
    flow->source =
        attribution_.Acquire(batch, source, prepared.source_hash != 0 ? prepared.source_hash : tally_.Hash(source));
    port_is_new = flow->source != kNoSourceRow && HasPorts(flow->protocol) &&
                  ports_.Add(flow->source, event.key.destination_port);
  } catch (...) {  // no memory: as if it had not come; the next comparison adds it
    if (flow->source != kNoSourceRow) batch.Release(flow->source);
    flows_.Erase(*flow, event.key.family, prepared.hash);
    throw;
  }
  flow->id = event.id;
  flow->tcp_state = static_cast<std::uint8_t>(event.tcp_state) & 0xF;
  flow->replied = IsReplied(event);
  flow->generation = generation_;
  batch.AddConnections(StateOf(*flow), 1);
  groups_.Count(batch, PlaceOf(prepared), {.connections = 1, .unreplied = flow->replied ? 0 : 1});
  if (flow->source == kNoSourceRow) {
    ++sources_turned_away_;
    attribution_.CountUnattributed(batch, *flow, 1);
    return flow;
  }
  SourceDelta delta{.connections = 1, .unreplied = flow->replied ? 0 : 1};
  if (port_is_new) delta.destination_ports = 1;
  batch.AddSource(flow->source, delta);
  batch.NoteProof(flow->source, ProofOf(event));
  return flow;
}

void FlowTracker::CountOpened(TallyWriter::Batch& batch, Flow& flow, FlowPlace place) {
  batch.AddOpened(flow.protocol);
  groups_.Count(batch, place, {.opened = 1});
  if (flow.source != kNoSourceRow) batch.AddSource(flow.source, {.opened = 1});
}

// For an unconfirmed flow whose NEW will not come.
void FlowTracker::CountMissed(TallyWriter::Batch& batch, Flow& flow, FlowPlace place) {
  if (dump_is_first_) return;  // older than the daemon, so it does not count as opened
  ++corrections_.missed;
  CountOpened(batch, flow, place);
}

// An update, say for a changed mark, may have no TCP state: a flow that entered by one takes the dump's state.
void FlowTracker::TakeTcpState(TallyWriter::Batch& batch, Flow& flow, FlowEvent dumped, FlowPlace place) {
  dumped.has_status = false;
  SetState(batch, flow, dumped, place);
}

void FlowTracker::SetState(TallyWriter::Batch& batch, Flow& flow, const FlowEvent& event, FlowPlace place) {
  const FlowStateIndex before = StateOf(flow);
  if (event.has_tcp_state) flow.tcp_state = static_cast<std::uint8_t>(event.tcp_state) & 0xF;
  if (event.has_status && flow.replied != IsReplied(event)) {
    flow.replied = IsReplied(event);
    const int change = flow.replied ? -1 : 1;
    groups_.Count(batch, place, {.unreplied = change});
    if (flow.source != kNoSourceRow) {
      batch.AddSource(flow.source, {.unreplied = change});
      batch.NoteProof(flow.source, ProofOf(event));
    } else {
      batch.AddUnattributed(0, change);
    }
  }
  // Nearly only the event that makes a connection ASSURED finds it established: other events need not touch the row.
  const bool established = flow.protocol == FlowStateIndex::kTcp && flow.tcp_state == kEstablished;
  if (established && flow.source != kNoSourceRow) batch.NoteProof(flow.source, ProofOf(event));
  const FlowStateIndex after = StateOf(flow);
  if (before == after) return;
  batch.AddConnections(before, -1);
  batch.AddConnections(after, 1);
}

void FlowTracker::Leave(TallyWriter::Batch& batch, Flow flow, FlowPlace place, const FlowEvent* destroy,
                        TrackerTime now) {
  if (flow.unconfirmed) CountMissed(batch, flow, place);
  batch.AddClosed(flow.protocol);
  if (destroy != nullptr && destroy->start_ns != 0 && destroy->stop_ns >= destroy->start_ns) {
    batch.AddDuration(static_cast<double>(destroy->stop_ns - destroy->start_ns) / 1e9);
  } else if (destroy != nullptr && flow.opening_known) {
    batch.AddDuration(SecondsSince(flow.opened_centiseconds, now));
  }
  // Only DESTROY tells how it ended.
  const bool failed = destroy != nullptr && destroy->has_status && !IsReplied(*destroy);
  if (flow.source != kNoSourceRow) batch.AddSource(flow.source, {.closed = 1, .failed = failed ? 1U : 0U});
  if (failed && flow.protocol == FlowStateIndex::kTcp && flow.opening_known) {
    if (refused_.size() < kRefusedMax) {
      refused_.push_back({destroy->key, flow.opened_centiseconds, flow.source});
    } else {
      ++refused_turned_away_;
    }
  }
  Withdraw(batch, flow, place, {.closed = 1});
}

// Reverses Enter; `delta` is a further change to its network.
void FlowTracker::Withdraw(TallyWriter::Batch& batch, const Flow& flow, FlowPlace place, GroupDelta delta) {
  batch.AddConnections(StateOf(flow), -1);
  delta.connections = -1;
  delta.unreplied = flow.replied ? 0 : -1;
  groups_.Count(batch, place, delta);
  if (flow.source == kNoSourceRow) return attribution_.CountUnattributed(batch, flow, -1);
  SourceDelta of_source{.connections = -1, .unreplied = flow.replied ? 0 : -1};
  if (HasPorts(flow.protocol) && ports_.Remove(flow.source, place.key.destination_port)) {
    of_source.destination_ports = -1;
  }
  batch.AddSource(flow.source, of_source);
  batch.Release(flow.source);
}

}  // namespace conntally
