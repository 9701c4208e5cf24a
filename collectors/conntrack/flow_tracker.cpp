#include "collectors/conntrack/flow_tracker.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>

namespace conntally {
namespace {

bool IsReplied(const FlowEvent& event) { return event.has_status && (event.status & IPS_SEEN_REPLY) != 0; }

// What a connection shows of its source. ASSURED is what conntrack calls a TCP connection that was established after a
// reply was seen (nf_conntrack_proto_tcp.c); ESTABLISHED alone is not enough, since a lone ACK out of nothing, which
// anybody may forge, enters the table in that state where nf_conntrack_tcp_loose is 1 (the default).
Proof ProofOf(const FlowEvent& event) {
  if (!IsReplied(event)) return Proof::kUnanswered;
  if (event.key.protocol != FlowStateIndex::kTcp) return Proof::kAnswered;
  return (event.status & IPS_ASSURED) != 0 ? Proof::kProven : Proof::kUnanswered;
}

FlowStateIndex StateOf(const Flow& flow) {
  return flow.protocol == FlowStateIndex::kTcp ? FlowStateIndex::Tcp(flow.tcp_state)
                                               : FlowStateIndex::Other(flow.protocol, flow.replied);
}

FlowStateIndex StateOf(const FlowEvent& event) {
  return event.key.protocol == FlowStateIndex::kTcp ? FlowStateIndex::Tcp(static_cast<std::uint8_t>(event.tcp_state))
                                                    : FlowStateIndex::Other(event.key.protocol, IsReplied(event));
}

// Whether the event speaks of another connection that has, or had, the same tuple.
bool IsOtherLife(const Flow& flow, const FlowEvent& event) {
  return flow.id != event.id && flow.id != 0 && event.id != 0;
}

constexpr auto kEstablished = static_cast<std::uint8_t>(TcpState::kEstablished);

bool HasPorts(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
         protocol == IPPROTO_UDPLITE;
}

}  // namespace

FlowTracker::FlowTracker(const Options& options, TallyWriter& tally)
    : grouping_(options.grouping),
      tally_(tally),
      flows_(options.connections_max, options.hash),
      ports_(options.ports_secret) {}

IpAddress FlowTracker::SourceOf(const FlowKey& key) const {
  const unsigned length = key.family == Family::kIpv4 ? grouping_.ipv4_prefix : grouping_.ipv6_prefix;
  const IpAddress source = key.SourceAddress();
  return length == AddressBits(key.family) ? source : Masked(source, length);
}

void FlowTracker::Prepare(Prepared& prepared) const {
  prepared.hash = flows_.Hash(prepared.event.key);
  flows_.Prefetch(prepared.event.key, prepared.hash);
  // The flow leads to its source where there is one: seldom for NEW, and for what the first dump shows.
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
  if (prepared.event.kind == EventKind::kDestroy) {
    Destroy(batch, prepared, now);
  } else {
    Upsert(batch, prepared, now);
  }
}

void FlowTracker::Upsert(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now) {
  const FlowEvent& event = prepared.event;
  const bool is_new = event.kind == EventKind::kNew;
  if (phase_ == Phase::kDumping && is_new) destroyed_.erase(prepared.hash);
  Flow* flow = flows_.Find(event.key, prepared.hash);
  if (flow != nullptr && IsOtherLife(*flow, event)) {
    // The tuple's former life ended unseen, or this is a late word of it. Only a NEW tells for certain.
    if (!is_new) return;
    if (flow->unconfirmed) {
      Withdraw(batch, *flow, event.key.destination_port);
    } else {
      Leave(batch, *flow, event.key.destination_port, nullptr, now);
    }
    flows_.Erase(*flow, event.key.family, prepared.hash);
    flow = nullptr;
  }
  if (flow == nullptr) {
    flow = Enter(batch, prepared);
    if (flow == nullptr) {
      if (is_new || (overflow_sum_ == 0 && !adopting_)) EnterOverflow(batch, event);  // else the dump counts it
      return;
    }
    // Where there is room again, what was turned away before comes in, and was counted as opened then.
    if (!is_new && overflow_sum_ > 0 && LeaveOverflow(batch, event.key.protocol)) return;
    if (!is_new && (phase_ == Phase::kDumping || adopting_)) {
      flow->unconfirmed = true;  // it lives, but nobody saw it open: the dump's end tells what that means
      return;
    }
    flow->opened_centiseconds = now.centiseconds;
    flow->opening_known = is_new;
    return CountOpened(batch, *flow);
  }
  if (flow->unconfirmed && is_new) {
    flow->unconfirmed = false;
    flow->opened_centiseconds = now.centiseconds;
    flow->opening_known = true;
    CountOpened(batch, *flow);
  }
  SetState(batch, *flow, event);
  flow->generation = generation_;
}

void FlowTracker::Destroy(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now) {
  const FlowEvent& event = prepared.event;
  if (phase_ == Phase::kDumping) destroyed_.insert(prepared.hash);
  Flow* flow = flows_.Find(event.key, prepared.hash);
  if (flow == nullptr) {
    if (overflow_sum_ > 0 && LeaveOverflow(batch, event.key.protocol)) batch.AddClosed(event.key.protocol);
    return;
  }
  if (IsOtherLife(*flow, event)) return;  // the end of a former life of this tuple, told twice
  Leave(batch, *flow, event.key.destination_port, &event, now);
  flows_.Erase(*flow, event.key.family, prepared.hash);
}

// Counts a connection as there, in the totals and at its source. nullptr when there is no room for it.
Flow* FlowTracker::Enter(TallyWriter::Batch& batch, const Prepared& prepared) {
  const FlowEvent& event = prepared.event;
  Flow* flow = flows_.Insert(event.key, prepared.hash);
  if (flow == nullptr) return nullptr;
  bool port_is_new = false;
  try {
    const IpAddress source = SourceOf(event.key);
    flow->source = batch.Acquire(source, prepared.source_hash != 0 ? prepared.source_hash : tally_.Hash(source));
    port_is_new = flow->source != kNoSourceRow && HasPorts(flow->protocol) &&
                  ports_.Add(flow->source, event.key.destination_port);
  } catch (...) {  // no memory: it never came in, and the next comparison brings it
    if (flow->source != kNoSourceRow) batch.Release(flow->source);
    flows_.Erase(*flow, event.key.family, prepared.hash);
    throw;
  }
  flow->id = event.id;
  flow->tcp_state = static_cast<std::uint8_t>(event.tcp_state) & 0xF;
  flow->replied = IsReplied(event);
  flow->generation = generation_;
  batch.AddConnections(StateOf(*flow), 1);
  if (flow->source == kNoSourceRow) {
    ++sources_turned_away_;
    batch.AddUnattributed(1);
    return flow;
  }
  SourceDelta delta{.connections = 1, .unreplied = flow->replied ? 0 : 1};
  if (port_is_new) delta.destination_ports = 1;
  batch.AddSource(flow->source, delta);
  batch.NoteProof(flow->source, ProofOf(event));
  return flow;
}

void FlowTracker::CountOpened(TallyWriter::Batch& batch, Flow& flow) {
  batch.AddOpened(flow.protocol);
  if (flow.source != kNoSourceRow) batch.AddSource(flow.source, {.opened = 1});
}

// An unconfirmed flow whose NEW will not come any more.
void FlowTracker::CountMissed(TallyWriter::Batch& batch, Flow& flow) {
  if (dump_is_first_) return;  // older than the daemon: it did not open under our eyes
  ++corrections_.missed;
  CountOpened(batch, flow);
}

// An update for a changed mark, say, tells no TCP state: what came in by one has none yet, and takes the dump's.
void FlowTracker::TakeTcpState(TallyWriter::Batch& batch, Flow& flow, FlowEvent dumped) {
  dumped.has_status = false;
  SetState(batch, flow, dumped);
}

void FlowTracker::SetState(TallyWriter::Batch& batch, Flow& flow, const FlowEvent& event) {
  const FlowStateIndex before = StateOf(flow);
  if (event.has_tcp_state) flow.tcp_state = static_cast<std::uint8_t>(event.tcp_state) & 0xF;
  if (event.has_status && flow.replied != IsReplied(event)) {
    flow.replied = IsReplied(event);
    if (flow.source != kNoSourceRow) {
      batch.AddSource(flow.source, {.unreplied = flow.replied ? -1 : 1});
      batch.NoteProof(flow.source, ProofOf(event));
    }
  }
  // Hardly any event but the one that assures a connection finds it established: the others need not look for the row.
  const bool established = flow.protocol == FlowStateIndex::kTcp && flow.tcp_state == kEstablished;
  if (established && flow.source != kNoSourceRow) batch.NoteProof(flow.source, ProofOf(event));
  const FlowStateIndex after = StateOf(flow);
  if (before == after) return;
  batch.AddConnections(before, -1);
  batch.AddConnections(after, 1);
}

void FlowTracker::Leave(TallyWriter::Batch& batch, Flow flow, std::uint16_t destination_port, const FlowEvent* destroy,
                        TrackerTime now) {
  if (flow.unconfirmed) CountMissed(batch, flow);
  batch.AddClosed(flow.protocol);
  if (destroy != nullptr && destroy->start_ns != 0 && destroy->stop_ns >= destroy->start_ns) {
    batch.AddDuration(static_cast<double>(destroy->stop_ns - destroy->start_ns) / 1e9);
  } else if (destroy != nullptr && flow.opening_known) {
    batch.AddDuration(SecondsSince(flow.opened_centiseconds, now));
  }
  // Only DESTROY tells how it ended.
  const bool failed = destroy != nullptr && destroy->has_status && ProofOf(*destroy) == Proof::kUnanswered;
  if (flow.source != kNoSourceRow) batch.AddSource(flow.source, {.closed = 1, .failed = failed ? 1U : 0U});
  Withdraw(batch, flow, destination_port);
}

// Undoes Enter.
void FlowTracker::Withdraw(TallyWriter::Batch& batch, const Flow& flow, std::uint16_t destination_port) {
  batch.AddConnections(StateOf(flow), -1);
  if (flow.source == kNoSourceRow) return batch.AddUnattributed(-1);
  SourceDelta delta{.connections = -1, .unreplied = flow.replied ? 0 : -1};
  if (HasPorts(flow.protocol) && ports_.Remove(flow.source, destination_port)) delta.destination_ports = -1;
  batch.AddSource(flow.source, delta);
  batch.Release(flow.source);
}

void FlowTracker::BeginDump(DumpReason reason) {
  phase_ = Phase::kDumping;
  dump_is_first_ = reason == DumpReason::kStart;
  // Two generations tell seen from unseen only if the last sweep left but one.
  if (!swept_) ForgetWhatWasShown();
  generation_ = !generation_;
  swept_ = false;
  overflow_in_dump_.fill(0);
  destroyed_.clear();
}

// A dump that was given up has marked some flows with its generation, which proves nothing to the next one. Rare, so it
// may take some milliseconds a million flows.
void FlowTracker::ForgetWhatWasShown() {
  for (std::size_t partition = 0; partition < FlowTable::kPartitions; ++partition) {
    flows_.Sweep(partition, [&](Flow& flow, std::uint16_t) {
      flow.generation = generation_;
      return false;
    });
  }
}

void FlowTracker::CancelDump() {
  phase_ = Phase::kIdle;
  destroyed_.clear();
}

void FlowTracker::ApplyDumped(TallyWriter::Batch& batch, const Prepared& prepared, TrackerTime now) {
  const FlowEvent& event = prepared.event;
  Flow* flow = flows_.Find(event.key, prepared.hash);
  if (flow != nullptr && IsOtherLife(*flow, event) && flow->generation != generation_) {
    // Another life of the tuple than ours, whose events were lost or are still to come; they will not match its id.
    Leave(batch, *flow, event.key.destination_port, nullptr, now);
    flows_.Erase(*flow, event.key.family, prepared.hash);
    flow = nullptr;
  }
  if (flow != nullptr) {
    if (flow->generation == generation_) {  // told by a later event, or dumped twice
      if (flow->protocol == FlowStateIndex::kTcp && flow->tcp_state == 0) TakeTcpState(batch, *flow, event);
      return;
    }
    flow->generation = generation_;
    return SetState(batch, *flow, event);
  }
  if (destroyed_.contains(prepared.hash)) return;
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
  destroyed_.clear();
  for (std::size_t i = 0; i < overflow_.size(); ++i) {
    const std::int64_t change = overflow_in_dump_[i] - overflow_[i];
    if (change == 0) continue;
    batch.AddConnections(FlowStateIndex(i), static_cast<int>(change));
    batch.AddUnattributed(static_cast<int>(change));
    if (change > 0) connections_turned_away_ += static_cast<std::uint64_t>(change);
    overflow_[i] = overflow_in_dump_[i];
    overflow_sum_ += change;
  }
}

bool FlowTracker::SweepStep(TallyWriter::Batch& batch, TrackerTime now) {
  flows_.Sweep(next_partition_, [&](Flow& flow, std::uint16_t destination_port) {
    if (flow.generation != generation_) {
      ++corrections_.stale;
      Leave(batch, flow, destination_port, nullptr, now);
      return true;
    }
    if (flow.unconfirmed) {
      CountMissed(batch, flow);
      flow.unconfirmed = false;
    }
    return false;
  });
  if (++next_partition_ < FlowTable::kPartitions) return false;
  phase_ = Phase::kIdle;
  swept_ = true;
  return true;
}

void FlowTracker::EnterOverflow(TallyWriter::Batch& batch, const FlowEvent& event) {
  const FlowStateIndex state = StateOf(event);
  ++connections_turned_away_;
  ++overflow_[state.value()];
  ++overflow_sum_;
  batch.AddConnections(state, 1);
  batch.AddUnattributed(1);
  batch.AddOpened(event.key.protocol);
}

// A connection of the protocol that was turned away is gone, or has come in: which of them is not known, so neither is
// its state. False when there is none.
bool FlowTracker::LeaveOverflow(TallyWriter::Batch& batch, std::uint8_t protocol) {
  const auto leave = [&](FlowStateIndex state) {
    std::int64_t& count = overflow_[state.value()];
    if (count == 0) return false;
    --count;
    --overflow_sum_;
    batch.AddConnections(state, -1);
    batch.AddUnattributed(-1);
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
