// Observer::GatherEvidence: all sources are looked at, each second, and few are kept.
#include <algorithm>
#include <map>

#include "daemon/observation/observer.h"
#include "daemon/observation/ranking.h"

namespace conntally {
namespace {

// Below this share of the lowest threshold a source's smoothed rate cannot hide one that is past it.
constexpr double kDropRateShare = 0.25;

// Sources that lead by some figure, and as many with the most connections as have their limits looked up.
struct Leaders {
  std::map<IpAddress, SourceFigures> sources;
  std::vector<SourceFigures> to_look_up;
};

using FiguresRanking = Ranking<SourceFigures>;

Leaders FindLeaders(const Tally::View& view, const std::vector<Prefix>& exclude, std::size_t lookups_max) {
  FiguresRanking by_connections(std::max(lookups_max, AlertEvidence::kRankedMax));
  FiguresRanking by_new_rate(AlertEvidence::kRankedMax);
  FiguresRanking by_ports(AlertEvidence::kRankedMax);
  FiguresRanking by_unreplied(AlertEvidence::kRankedMax);
  view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
    if (figures.connections <= 0 && figures.new_rate <= 0) return;
    if (std::any_of(exclude.begin(), exclude.end(),
                    [&](const Prefix& prefix) { return prefix.Contains(figures.source); }))
      return;
    const auto copy = [&] { return figures; };
    by_connections.Enter(static_cast<double>(figures.connections), figures.source, copy);
    by_new_rate.Enter(figures.new_rate, figures.source, copy);
    by_ports.Enter(static_cast<double>(figures.destination_ports), figures.source, copy);
    by_unreplied.Enter(static_cast<double>(figures.unreplied), figures.source, copy);
  });
  Leaders leaders;
  for (FiguresRanking* ranking : {&by_new_rate, &by_ports, &by_unreplied}) {
    for (const auto& entry : ranking->Take()) leaders.sources.emplace(entry.source, entry.payload);
  }
  auto most = by_connections.Take();
  std::sort(most.begin(), most.end());
  for (std::size_t i = 0; i < most.size(); ++i) {
    if (i < AlertEvidence::kRankedMax) leaders.sources.emplace(most[i].source, most[i].payload);
    if (i < lookups_max) leaders.to_look_up.push_back(most[i].payload);
  }
  return leaders;
}

}  // namespace

AlertEvidence Observer::GatherEvidence(const AlertRules& rules) {
  Snapshot snapshot;
  DescribeCollectors(snapshot);
  AlertEvidence evidence;
  evidence.now = Clock::now();
  evidence.table = snapshot.table;
  evidence.seconds_until_full = snapshot.table_seconds_until_full;
  evidence.entries_per_second = snapshot.table_entries_per_second;
  evidence.table_full_messages = snapshot.table_full_messages;
  evidence.ready = snapshot.trust.ready;
  evidence.synced = snapshot.trust.synced;
  evidence.events_lost = snapshot.trust.events_lost;
  for (const auto& [name, status] : snapshot.collectors) {
    if (status.failing()) evidence.failing.emplace(name, status.failure);
  }
  evidence.rules = snapshot.rules;
  GatherSources(rules, evidence);
  GatherDropped(rules, evidence);
  return evidence;
}

void Observer::GatherSources(const AlertRules& rules, AlertEvidence& evidence) {
  const auto settings = config();
  Leaders leaders;
  {
    const Tally::View view =
        tally_.Take(std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()));
    leaders = FindLeaders(view, settings->sources.exclude,
                          limits_.Any(settings->limits) ? AlertEvidence::kLimitLookupsMax : 0);
  }
  // Without the view: what is looked up may need one.
  const AlertRule& rule = rules[AlertKind::kSourceNearConnectionLimit];
  Ranking<std::pair<SourceFigures, std::vector<SourceLimit>>> by_usage(AlertEvidence::kRankedMax);
  for (const SourceFigures& figures : leaders.to_look_up) {
    std::vector<SourceLimit> limits = LimitsOf(figures);
    if (limits.empty() || rule.Quiet(limits.front().usage())) continue;
    by_usage.Enter(limits.front().usage(), figures.source, [&] { return std::pair(figures, std::move(limits)); });
  }
  std::map<IpAddress, std::vector<SourceLimit>> limits_of;
  for (auto& entry : by_usage.Take()) {
    leaders.sources.emplace(entry.source, entry.payload.first);
    limits_of.emplace(entry.source, std::move(entry.payload.second));
  }
  for (const auto& [address, figures] : leaders.sources) {
    evidence.sources.push_back({NameOf(address), figures});
    const auto limits = limits_of.find(address);
    if (limits != limits_of.end()) evidence.sources.back().limits = std::move(limits->second);
  }
}

void Observer::GatherDropped(const AlertRules& rules, AlertEvidence& evidence) {
  const double least = kDropRateShare * rules[AlertKind::kSourceMatchesDropRule].least_threshold();
  const auto settings = config();
  const std::vector<Prefix>& exclude = settings->sources.exclude;
  Ranking<char> by_rate(AlertEvidence::kRankedMax);
  for (const DropTally::Rated& rated : drops_.tally().Rates(evidence.now)) {
    if (rated.rate < least) continue;
    if (std::any_of(exclude.begin(), exclude.end(),
                    [&](const Prefix& prefix) { return prefix.Contains(rated.source); }))
      continue;
    by_rate.Enter(rated.rate, rated.source, [] { return '\0'; });
  }
  auto ranked = by_rate.Take();
  std::sort(ranked.begin(), ranked.end());
  for (const auto& entry : ranked) {
    if (auto drops = drops_.tally().Find(entry.source, evidence.now))
      evidence.dropped.push_back({NameOf(entry.source), std::move(*drops)});
  }
}

}  // namespace conntally
