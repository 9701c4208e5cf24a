#include "collectors/conntrack/destination_survey.h"

#include <algorithm>
#include <cstring>

#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

Destination DestinationOf(const FlowKey& key) {
  return {
      {key.destination, key.family}, HasPorts(key.protocol) ? key.destination_port : std::uint16_t{0}, key.protocol};
}

}  // namespace

std::uint64_t DestinationSurvey::HashOf(const Destination& destination) const {
  std::array<std::uint8_t, 20> bytes;
  std::copy(destination.address.bytes.begin(), destination.address.bytes.end(), bytes.begin());
  std::memcpy(&bytes[16], &destination.port, sizeof destination.port);
  bytes[18] = destination.protocol;
  bytes[19] = static_cast<std::uint8_t>(destination.address.family);
  return hash_(std::as_bytes(std::span(bytes)));
}

std::uint64_t DestinationSurvey::HashOf(std::uint64_t destination_hash, const IpAddress& source) const {
  std::array<std::uint8_t, 24> bytes;
  std::copy(source.bytes.begin(), source.bytes.end(), bytes.begin());
  std::memcpy(&bytes[16], &destination_hash, sizeof destination_hash);
  return hash_(std::as_bytes(std::span(bytes)));
}

std::shared_ptr<const DestinationFigures> DestinationSurvey::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

bool DestinationSurvey::Step(const FlowTable& flows, TrackerTime tracked, Clock::time_point now) {
  if (figures_ == nullptr) {
    if (!pace_.due(now)) return false;
    Begin();
  }
  return !pace_.Step(
      now,
      [&](std::size_t visited) {
        flows.Visit((first_partition_ + visited) % FlowTable::kPartitions,
                    [&](const FlowKey& key, const Flow& flow) { Count(key, flow, tracked); });
      },
      [this] { Publish(); });
}

void DestinationSurvey::Begin() {
  const bool crowded = places_.size() > places_.numbers_max() / 2 || pairs_.size() > pairs_.numbers_max() / 2;
  places_.Clear();
  pairs_.Clear();
  figures_ = std::make_shared<DestinationFigures>();
  if (last_ != nullptr) {  // which only this thread changes
    figures_->destinations.reserve(last_->destinations.size() + last_->destinations.size() / 8);
    if (crowded) KeepTheHeaviest();
  }
  first_partition_ = (first_partition_ + kPartitionStep) % FlowTable::kPartitions;
  without_place_ = without_pair_ = 0;
  pace_.Begin();
}

void DestinationSurvey::KeepTheHeaviest() {
  std::vector<const OfDestination*> known;
  known.reserve(last_->destinations.size());
  for (const OfDestination& each : last_->destinations) known.push_back(&each);
  std::sort(known.begin(), known.end(), [](const auto* a, const auto* b) { return a->connections > b->connections; });
  known.resize(std::min(known.size(), places_.numbers_max() / 2));
  for (const OfDestination* each : known) {
    if (each->connections == 0) break;
    const std::uint64_t hash = HashOf(each->destination);
    figures_->destinations.push_back({each->destination});
    *places_.At(hash) = static_cast<std::uint32_t>(figures_->destinations.size());
    for (const DestinationFigures::Source& source : each->sources) {
      if (source.connections > 0 && pairs_.size() < pairs_.numbers_max() / 2) pairs_.At(HashOf(hash, source.address));
    }
  }
}

void DestinationSurvey::Count(const FlowKey& key, const Flow& flow, TrackerTime tracked) {
  ++figures_->connections;
  const Destination destination = DestinationOf(key);
  const std::uint64_t hash = HashOf(destination);
  std::uint32_t* place = places_.At(hash);
  if (place == nullptr) {
    ++without_place_;
    return;
  }
  auto& destinations = figures_->destinations;
  if (*place == 0) {
    destinations.push_back({destination});
    *place = static_cast<std::uint32_t>(destinations.size());
  }
  OfDestination& counted = destinations[*place - 1];
  ++counted.connections;
  if (!flow.replied) ++counted.unreplied;
  const double age_max = static_cast<double>(DestinationFigures::kRateWindow.count());
  if (flow.opening_known && SecondsSince(flow.opened_centiseconds, tracked) <= age_max) ++counted.opened_lately;
  CountSource(counted, hash, GroupOf(key, grouping_));
}

// A count grows by one at a time, so the list has the most of what was counted at any moment.
void DestinationSurvey::CountSource(OfDestination& destination, std::uint64_t destination_hash,
                                    const IpAddress& source) {
  std::uint32_t* connections = pairs_.At(HashOf(destination_hash, source));
  if (connections == nullptr) {
    ++without_pair_;
    return;
  }
  ++*connections;
  auto& most = destination.sources;
  if (*connections <= most.back().connections) return;
  auto place = std::find_if(most.begin(), most.end(),
                            [&](const auto& known) { return known.connections == 0 || known.address == source; });
  if (place == most.end()) --place;
  *place = {source, *connections};
  for (; place != most.begin() && std::prev(place)->connections < place->connections; --place) {
    std::swap(*place, *std::prev(place));
  }
}

void DestinationSurvey::Publish() {
  // Those that kept a place and have no connection any more.
  std::erase_if(figures_->destinations, [](const OfDestination& each) { return each.connections == 0; });
  figures_->whole = without_place_ == 0;
  turned_away_.EndRound(without_place_);
  pairs_turned_away_.EndRound(without_pair_);
  destinations_left_out_.store(turned_away_.total(), std::memory_order_relaxed);
  pairs_left_out_.store(pairs_turned_away_.total(), std::memory_order_relaxed);
  std::shared_ptr<const DestinationFigures> previous = std::move(figures_);
  const std::lock_guard lock(mutex_);
  std::swap(last_, previous);
}

}  // namespace conntally
