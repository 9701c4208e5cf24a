#include "collectors/conntrack/surveys/destination_survey.h"

#include <algorithm>
#include <utility>

#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

Destination DestinationOf(const FlowKey& key) {
  return {
      {key.destination, key.family}, HasPorts(key.protocol) ? key.destination_port : std::uint16_t{0}, key.protocol};
}

// Multiplication by secrets, folded, as in PortCounts: nobody outside can cause collisions, at a tenth of SipHash's
// cost.
std::uint64_t Folded(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
}

std::array<std::uint64_t, 4> Secrets(const KeyedHash& hash) {
  std::array<std::uint64_t, 4> secrets;
  for (std::size_t i = 0; i < secrets.size(); ++i) secrets[i] = hash(std::as_bytes(std::span(&i, 1))) | 1;
  return secrets;
}

}  // namespace

DestinationSurvey::DestinationSurvey(SourceGrouping grouping, KeyedHash hash, std::size_t destinations_max,
                                     std::size_t pairs_max)
    : grouping_(grouping), secrets_(Secrets(hash)), places_(destinations_max), pairs_(pairs_max) {}

std::uint64_t DestinationSurvey::HashOf(const Destination& destination) const {
  const auto [high, low] = destination.address.Halves();
  const std::uint64_t rest = std::uint64_t{destination.port} << 16 | std::uint64_t{destination.protocol} << 8 |
                             static_cast<std::uint8_t>(destination.address.family);
  return Folded(Folded(high ^ secrets_[0], low ^ secrets_[1]) ^ rest, secrets_[2]);
}

std::uint64_t DestinationSurvey::PairHash(std::uint64_t destination_hash, const IpAddress& source) const {
  const auto [high, low] = source.Halves();
  return Folded(Folded(high ^ secrets_[1], low ^ secrets_[3]) ^ destination_hash, secrets_[0]);
}

std::shared_ptr<const DestinationFigures> DestinationSurvey::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

bool DestinationSurvey::Step(const FlowTable& flows, TrackerTime tracked, Clock::time_point now, bool idle) {
  if (figures_ == nullptr) {
    if (!pace_.due(now, idle ? kRestFactor : kBusyRestFactor, flows)) return false;
    Begin(flows);
  }
  return !pace_.Step(
      now,
      [&](std::size_t visited) {
        flows.Visit((first_partition_ + visited) % FlowTable::kPartitions,
                    [&](const FlowKey& key, const Flow& flow) { Prepare(key, flow, tracked); });
        CountPrepared();
      },
      [this] { Publish(); });
}

void DestinationSurvey::Begin(const FlowTable& flows) {
  const bool crowded = places_.size() > places_.numbers_max() / 2 || pairs_.size() > pairs_.numbers_max() / 2;
  places_.Clear();
  pairs_.Clear();
  figures_ = std::make_shared<DestinationFigures>();
  if (last_ != nullptr) {  // only this thread changes it
    figures_->destinations.reserve(last_->destinations.size() + last_->destinations.size() / 8);
    if (crowded) KeepTheHeaviest();
  }
  first_partition_ = (first_partition_ + kPartitionStep) % FlowTable::kPartitions;
  without_place_ = without_pair_ = 0;
  pace_.Begin(flows);
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
      if (source.connections > 0 && pairs_.size() < pairs_.numbers_max() / 2) pairs_.At(PairHash(hash, source.address));
    }
  }
}

void DestinationSurvey::Prepare(const FlowKey& key, const Flow& flow, TrackerTime tracked) {
  Prepared& prepared = prepared_[prepared_count_++];
  prepared.destination = DestinationOf(key);
  prepared.source = GroupOf(key, grouping_);
  prepared.destination_hash = HashOf(prepared.destination);
  prepared.pair_hash = PairHash(prepared.destination_hash, prepared.source);
  prepared.unreplied = !flow.replied;
  constexpr double kAgeMax = static_cast<double>(DestinationFigures::kRateWindow.count());
  prepared.opened_lately = flow.opening_known && SecondsSince(flow.opened_centiseconds, tracked) <= kAgeMax;
  places_.Prefetch(prepared.destination_hash);
  pairs_.Prefetch(prepared.pair_hash);
  if (prepared_count_ == kStride) CountPrepared();
}

void DestinationSurvey::CountPrepared() {
  const std::size_t count = std::exchange(prepared_count_, 0);
  for (std::size_t i = 0; i < count; ++i) Count(prepared_[i]);
}

void DestinationSurvey::Count(const Prepared& prepared) {
  ++figures_->connections;
  std::uint32_t* place = places_.At(prepared.destination_hash);
  if (place == nullptr) {
    ++without_place_;
    return;
  }
  auto& destinations = figures_->destinations;
  if (*place == 0) {
    destinations.push_back({prepared.destination});
    *place = static_cast<std::uint32_t>(destinations.size());
  }
  OfDestination& counted = destinations[*place - 1];
  ++counted.connections;
  counted.unreplied += prepared.unreplied;
  counted.opened_lately += prepared.opened_lately;
  CountSource(counted, prepared);
}

// Counts rise by one at a time, so the list always has the highest ones.
void DestinationSurvey::CountSource(OfDestination& destination, const Prepared& prepared) {
  std::uint32_t* connections = pairs_.At(prepared.pair_hash);
  if (connections == nullptr) {
    ++without_pair_;
    return;
  }
  ++*connections;
  auto& most = destination.sources;
  if (*connections <= most.back().connections) return;
  auto place = std::find_if(most.begin(), most.end(), [&](const auto& known) {
    return known.connections == 0 || known.address == prepared.source;
  });
  if (place == most.end()) --place;
  *place = {prepared.source, *connections};
  for (; place != most.begin() && std::prev(place)->connections < place->connections; --place) {
    std::swap(*place, *std::prev(place));
  }
}

void DestinationSurvey::Publish() {
  // Drops destinations that kept a place but no longer have a connection.
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
