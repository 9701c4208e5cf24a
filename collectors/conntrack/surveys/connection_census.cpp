#include "collectors/conntrack/surveys/connection_census.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

bool IsClosed(const Flow& flow) {
  return flow.protocol == IPPROTO_TCP && (flow.tcp_state == static_cast<std::uint8_t>(TcpState::kTimeWait) ||
                                          flow.tcp_state == static_cast<std::uint8_t>(TcpState::kClose));
}

bool AllHold(const CoveredConnections::Conditions& conditions, const FlowKey& key) {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const ConnectionCondition& condition) { return condition.Holds(key); });
}

}  // namespace

bool ConnectionCondition::Holds(const FlowKey& key) const {
  const auto among = [&](std::uint32_t number) {
    return std::any_of(numbers.begin(), numbers.end(),
                       [&](const NumberRange& range) { return range.Contains(number); }) != negated;
  };
  switch (of) {
    case Of::kSource: return addresses.Contains(key.SourceAddress()) != negated;
    case Of::kDestination: return addresses.Contains({key.destination, key.family}) != negated;
    case Of::kProtocol: return among(key.protocol);
    case Of::kSourcePort: return HasPorts(key.protocol) && among(key.source_port);
    case Of::kDestinationPort: return HasPorts(key.protocol) && among(key.destination_port);
  }
  return false;
}

bool CoveredConnections::Covers(const FlowKey& key) const {
  return key.family == family && AllHold(all, key) &&
         std::none_of(none.begin(), none.end(), [&](const Conditions& conditions) { return AllHold(conditions, key); });
}

std::uint64_t Census::Count(std::size_t index, const IpAddress& source) const {
  const CoveredConnections& covered = (*of)[index];
  if (source.family != covered.family) return 0;
  const auto found = counts[index].find(Masked(source, std::min(covered.prefix, grouping.Of(source.family))));
  return found != counts[index].end() ? found->second : 0;
}

void ConnectionCensus::Ask(std::shared_ptr<const std::vector<CoveredConnections>> covered) {
  const std::lock_guard lock(mutex_);
  asked_for_ = std::move(covered);
  asked_.store(asked_for_ != nullptr && !asked_for_->empty(), std::memory_order_relaxed);
}

std::shared_ptr<const Census> ConnectionCensus::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

bool ConnectionCensus::Step(const FlowTable& flows, Clock::time_point now) {
  if (census_ == nullptr) {
    if (!asked_.load(std::memory_order_relaxed) || !pace_.due(now, kRestFactor, flows)) return false;
    Begin(flows);
  }
  return !pace_.Step(
      now, [&](std::size_t partition) { CountPartition(flows, partition); }, [this] { Publish(); });
}

void ConnectionCensus::Begin(const FlowTable& flows) {
  census_ = std::make_shared<Census>();
  {
    const std::lock_guard lock(mutex_);
    census_->of = asked_for_;
  }
  census_->grouping = grouping_;
  for (std::size_t i = 0; i < census_->of->size(); ++i) census_->counts.emplace_back(0, Census::Hash{hash_});
  zoned_.assign(census_->of->size(), {});
  pace_.Begin(flows);
  sources_ = 0;
  left_out_.clear();
}

void ConnectionCensus::CountPartition(const FlowTable& flows, std::size_t partition) {
  flows.Visit(partition, [&](const FlowKey& key, const Flow& flow) {
    if (IsClosed(flow)) return;
    for (std::size_t i = 0; i < census_->of->size(); ++i) {
      const CoveredConnections& covered = (*census_->of)[i];
      if (!covered.Covers(key)) continue;
      Census::Counts& counts =
          key.zone == 0 ? census_->counts[i] : zoned_[i].try_emplace(key.zone, 0, Census::Hash{hash_}).first->second;
      const IpAddress group = Masked(key.SourceAddress(), covered.prefix);
      if (const auto known = counts.find(group); known != counts.end()) {
        ++known->second;
      } else if (sources_ < sources_max_) {
        counts.emplace(group, 1);
        ++sources_;
      } else {
        LeaveOut(i, key.zone, group);
      }
    }
  });
}

void ConnectionCensus::LeaveOut(std::size_t limit, std::uint16_t zone, const IpAddress& group) {
  if (left_out_.size() >= kLeftOutMax) return;
  std::array<std::uint8_t, 19> bytes;
  std::copy(group.bytes.begin(), group.bytes.end(), bytes.begin());
  bytes[16] = static_cast<std::uint8_t>(limit);
  bytes[17] = static_cast<std::uint8_t>(zone >> 8);
  bytes[18] = static_cast<std::uint8_t>(zone);
  left_out_.insert(hash_(std::as_bytes(std::span(bytes))));
}

// The kernel counts each zone, and each prefix of the limit, separately: the highest count is a source's.
void ConnectionCensus::Publish() {
  for (std::size_t i = 0; i < census_->of->size(); ++i) {
    Census::Counts& counts = census_->counts[i];
    const auto take = [](Census::Counts& into, const IpAddress& group, std::uint32_t count) {
      std::uint32_t& most = into[group];
      most = std::max(most, count);
    };
    for (const auto& [zone, of_zone] : zoned_[i]) {
      for (const auto& [group, count] : of_zone) take(counts, group, count);
    }
    const CoveredConnections& covered = (*census_->of)[i];
    const std::uint8_t coarsest = grouping_.Of(covered.family);
    if (covered.prefix <= coarsest) continue;
    Census::Counts grouped(0, Census::Hash{hash_});
    for (const auto& [group, count] : counts) take(grouped, Masked(group, coarsest), count);
    counts = std::move(grouped);
  }
  zoned_.clear();
  turned_away_.EndRound(left_out_.size());
  sources_turned_away_.store(turned_away_.total(), std::memory_order_relaxed);
  std::shared_ptr<const Census> previous = std::move(census_);
  const std::lock_guard lock(mutex_);
  std::swap(last_, previous);
}

}  // namespace conntally
