#include "collectors/conntrack/flows/flow_attribution.h"

#include <algorithm>

#include "collectors/conntrack/flows/flow_reading.h"

namespace conntally {
namespace {

// What a stored flow proves about its source. A forged single ACK only gets a RST in reply, which ends the flow.
Proof ProofOf(const Flow& flow) {
  if (!flow.replied) return Proof::kUnanswered;
  if (flow.protocol != FlowStateIndex::kTcp) return Proof::kAnswered;
  return flow.tcp_state == kEstablished ? Proof::kProven : Proof::kUnanswered;
}

}  // namespace

bool FlowAttribution::Step(TallyWriter::Batch& batch, FlowTable& flows, PortCounts& ports, TrackerTime now) {
  if (!walking_) {
    const bool early = not_before_ && now.centiseconds - not_before_->centiseconds < 0;
    if (!wanted() || early) return false;
    Begin();
  }
  const bool leaving = tally_.rows_leaving() > 0;
  flows.Revise(next_partition_, [&](const FlowKey& key, Flow& flow) {
    if (flow.source == kNoSourceRow) {
      Attach(batch, key, flow, ports);
    } else if (leaving && tally_.IsLeaving(flow.source)) {
      Detach(batch, flow, key.destination_port, ports);
    }
  });
  if (++next_partition_ < FlowTable::kPartitions) return true;
  End(batch, now);
  return !gathered_.empty();
}

void FlowAttribution::Begin() {
  walking_ = true;
  next_partition_ = 0;
  gathered_.insert(gathered_.end(), gathering_.begin(), gathering_.end());
  gathering_.clear();
  if (unattributed_ > 0) {
    heavy_.emplace(kHeavyMax, hash_);
  } else {
    heavy_.reset();
  }
}

void FlowAttribution::Detach(TallyWriter::Batch& batch, Flow& flow, std::uint16_t destination_port, PortCounts& ports) {
  SourceDelta delta{.connections = -1, .unreplied = flow.replied ? 0 : -1};
  if (HasPorts(flow.protocol) && ports.Remove(flow.source, destination_port)) delta.destination_ports = -1;
  batch.AddSource(flow.source, delta);
  batch.Release(flow.source);
  flow.source = kNoSourceRow;
  CountUnattributed(batch, flow, 1);
}

void FlowAttribution::Attach(TallyWriter::Batch& batch, const FlowKey& key, Flow& flow, PortCounts& ports) {
  const IpAddress source = GroupOf(key, grouping_);
  const Proof proof = ProofOf(flow);
  const Claim claim = proof == Proof::kProven ? Claim::kEntitled : Claim::kNewcomer;
  const SourceRow row = batch.Acquire(source, tally_.Hash(source), claim, &gathering_);
  if (row == kNoSourceRow) {
    if (heavy_) heavy_->Add(source, 1);
    return;
  }
  SourceDelta delta{.connections = 1, .unreplied = flow.replied ? 0 : 1};
  try {
    if (HasPorts(flow.protocol) && ports.Add(row, key.destination_port)) delta.destination_ports = 1;
  } catch (...) {  // no memory: the next walk tries again
    batch.Release(row);
    throw;
  }
  flow.source = row;
  batch.AddSource(row, delta);
  batch.NoteProof(row, proof);
  CountUnattributed(batch, flow, -1);
}

void FlowAttribution::EntitleTheHeavy(TallyWriter::Batch& batch) {
  const auto enough = static_cast<std::uint64_t>(std::max<std::int64_t>(1, tally_.light_connections())) * 2;
  std::vector<std::pair<std::uint64_t, IpAddress>> heaviest;
  heavy_->ForEach([&](const Heavy::Entry& entry) {
    if (entry.certain() >= enough) heaviest.emplace_back(entry.certain(), entry.source);
  });
  std::sort(heaviest.rbegin(), heaviest.rend());
  heaviest.resize(std::min(heaviest.size(), kEntitledMax));
  for (const auto& [connections, source] : heaviest) {
    // A gathering row stays without a reference until it is published.
    const SourceRow row = batch.Acquire(source, tally_.Hash(source), Claim::kEntitled, &gathering_);
    if (row != kNoSourceRow) batch.Release(row);
  }
}

void FlowAttribution::End(TallyWriter::Batch& batch, TrackerTime now) {
  if (heavy_) EntitleTheHeavy(batch);
  heavy_.reset();
  for (const SourceRow row : gathered_) batch.Reveal(row);
  gathered_.clear();
  gathered_.swap(gathering_);
  walking_ = false;
  not_before_.reset();
  if (!gathered_.empty()) return;
  const auto pause = static_cast<std::int32_t>(std::min<std::size_t>(unattributed_ / kFlowsPerCentisecond, 1000));
  not_before_ = now;
  not_before_->centiseconds += std::clamp(pause, kPauseMinCentiseconds, kPauseMaxCentiseconds);
}

}  // namespace conntally
