#include "daemon/observation/history/history.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace conntally {
namespace {

// By position in a moment's rates.
constexpr std::array<std::pair<const char*, double CounterRates::*>, 6> kRates = {{
    {"opened_per_second", &CounterRates::opened},
    {"closed_per_second", &CounterRates::closed},
    {"dropped_packets_per_second", &CounterRates::dropped_packets},
    {"table_drops_per_second", &CounterRates::table_drops},
    {"table_early_drops_per_second", &CounterRates::table_early_drops},
    {"table_insert_failed_per_second", &CounterRates::table_insert_failed},
}};

template <typename Integer>
std::uint32_t Narrow(Integer value) {
  if (value <= 0) return 0;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(static_cast<std::uint64_t>(value), UINT32_MAX - 1));
}

// As few digits as a chart needs.
double Rounded(float value) { return std::round(static_cast<double>(value) * 100) / 100; }

}  // namespace

const char* NameOf(StateGroup group) {
  switch (group) {
    case StateGroup::kTcpOpening: return "tcp_opening";
    case StateGroup::kTcpEstablished: return "tcp_established";
    case StateGroup::kTcpClosing: return "tcp_closing";
    case StateGroup::kUdpReplied: return "udp_replied";
    case StateGroup::kUdpUnreplied: return "udp_unreplied";
    case StateGroup::kOther: return "other";
  }
  return "";
}

StateGroup GroupOf(FlowStateIndex state) {
  constexpr std::uint8_t kUdp = 17;
  if (state.is_tcp()) {
    switch (state.tcp_state()) {  // enum tcp_conntrack
      case 1:
      case 2:
      case 9: return StateGroup::kTcpOpening;
      case 3: return StateGroup::kTcpEstablished;
      case 4:
      case 5:
      case 6:
      case 7:
      case 8: return StateGroup::kTcpClosing;
      default: return StateGroup::kOther;
    }
  }
  if (state.protocol() == kUdp) return state.replied() ? StateGroup::kUdpReplied : StateGroup::kUdpUnreplied;
  return StateGroup::kOther;
}

std::array<std::int64_t, kStateGroups> GroupStates(const TotalFigures& totals) {
  std::array<std::int64_t, kStateGroups> groups{};
  for (std::size_t i = 0; i < FlowStateIndex::kCount; ++i) {
    if (totals.connections[i] != 0)
      groups[static_cast<std::size_t>(GroupOf(FlowStateIndex(i)))] += totals.connections[i];
  }
  return groups;
}

void History::Add(std::chrono::sys_seconds when, const HistorySample& sample,
                  const std::vector<SourceSample>& sources) {
  const std::lock_guard lock(mutex_);
  if (moments_.empty()) moments_.resize(kSamples);
  const auto slot = static_cast<std::size_t>(added_ % kSamples);
  ++added_;
  Moment& moment = moments_[slot];
  moment.when = when.time_since_epoch().count();
  moment.entries = Narrow(sample.entries);
  moment.limit = Narrow(sample.limit);
  moment.sources = Narrow(sample.sources);
  for (std::size_t i = 0; i < kRates.size(); ++i) moment.rates[i] = static_cast<float>(sample.rates.*kRates[i].second);
  std::transform(sample.connections.begin(), sample.connections.end(), moment.connections.begin(),
                 Narrow<std::int64_t>);

  for (auto track = tracks_.begin(); track != tracks_.end();) {
    track->second.points[slot] = {};
    track = added_ - track->second.last_added >= kSamples ? tracks_.erase(track) : std::next(track);
  }
  for (std::size_t i = 0; i < std::min(sources.size(), kSourcesPerSample); ++i) {
    Track* track = TrackOf(sources[i].source);
    track->last_added = added_;
    track->points[slot] = {Narrow(sources[i].connections), static_cast<float>(sources[i].new_rate),
                           static_cast<float>(sources[i].drop_rate)};
  }
}

History::Track* History::TrackOf(const IpAddress& source) {
  if (const auto found = tracks_.find(source); found != tracks_.end()) return &found->second;
  if (tracks_.size() >= kSourcesMax) {
    tracks_.erase(std::min_element(tracks_.begin(), tracks_.end(), [](const auto& a, const auto& b) {
      return a.second.last_added < b.second.last_added;
    }));
  }
  return &tracks_[source];
}

std::string History::Json() const {
  const std::lock_guard lock(mutex_);
  using nlohmann::ordered_json;
  ordered_json json = {{"interval_seconds", kInterval.count()}};
  const auto column = [&](const std::string& name, const auto& value) {
    ordered_json values = ordered_json::array();
    for (std::size_t i = 0; i < size(); ++i) values.push_back(value(moments_[SlotOf(i)]));
    json[name] = std::move(values);
  };
  column("times", [](const Moment& moment) { return moment.when; });
  column("entries",
         [](const Moment& moment) { return moment.limit != 0 ? ordered_json(moment.entries) : ordered_json(nullptr); });
  column("limit",
         [](const Moment& moment) { return moment.limit != 0 ? ordered_json(moment.limit) : ordered_json(nullptr); });
  column("sources", [](const Moment& moment) { return moment.sources; });
  for (std::size_t i = 0; i < kRates.size(); ++i) {
    column(kRates[i].first, [i](const Moment& moment) { return Rounded(moment.rates[i]); });
  }
  for (std::size_t i = 0; i < kStateGroups; ++i) {
    column(std::string("connections_") + NameOf(static_cast<StateGroup>(i)),
           [i](const Moment& moment) { return moment.connections[i]; });
  }
  return json.dump() + "\n";
}

std::string History::Json(const IpAddress& source, const std::string& name) const {
  const std::lock_guard lock(mutex_);
  using nlohmann::ordered_json;
  ordered_json times = ordered_json::array(), connections = times, new_rate = times, drop_rate = times;
  const auto track = tracks_.find(source);
  for (std::size_t i = 0; track != tracks_.end() && i < size(); ++i) {
    const Point& point = track->second.points[SlotOf(i)];
    const bool absent = point.connections == Point::kAbsent;
    const auto value = [&](auto known) { return absent ? ordered_json(nullptr) : ordered_json(known); };
    times.push_back(moments_[SlotOf(i)].when);
    connections.push_back(value(point.connections));
    new_rate.push_back(value(Rounded(point.new_rate)));
    drop_rate.push_back(value(Rounded(point.drop_rate)));
  }
  const ordered_json json = {{"source", name},       {"interval_seconds", kInterval.count()},
                             {"times", times},       {"connections", connections},
                             {"new_rate", new_rate}, {"drop_rate", drop_rate}};
  return json.dump() + "\n";
}

}  // namespace conntally
