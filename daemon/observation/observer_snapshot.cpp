// Observer::TakeSnapshot: the snapshot of one moment.
#include <algorithm>

#include "daemon/observation/observer.h"
#include "daemon/process/build_info.h"
#include "daemon/process/process_figures.h"

namespace conntally {
namespace {

template <std::size_t kSize>
std::array<std::uint64_t, kSize> LoadAll(const std::array<std::atomic<std::uint64_t>, kSize>& counters) {
  std::array<std::uint64_t, kSize> values;
  for (std::size_t i = 0; i < kSize; ++i) values[i] = counters[i].load(std::memory_order_relaxed);
  return values;
}

}  // namespace

Snapshot Observer::TakeSnapshot() {
  Snapshot snapshot;
  DescribeCollectors(snapshot);
  DescribeTallies(snapshot);
  snapshot.process = ReadProcessFigures();
  snapshot.build = GetBuildInfo();
  return snapshot;
}

void Observer::DescribeCollectors(Snapshot& snapshot) {
  table_.FillIn(snapshot);
  DescribeConntrack(snapshot);
  snapshot.rules = rules_.figures();
  DescribeStanding(snapshot);
  const std::lock_guard lock(recent_mutex_);
  snapshot.table_full_messages = table_full_lines_.total();
}

void Observer::DescribeStanding(Snapshot& snapshot) const {
  CollectorReport report;
  for (const Collector* collector : collectors_) collector->Describe(report);
  snapshot.collectors.merge(report.statuses);
  snapshot.trust.overflows.merge(report.overflows);
  snapshot.figures = std::move(report.figures);
}

Snapshot Observer::TakeStanding() {
  Snapshot snapshot;
  DescribeConntrack(snapshot);
  DescribeStanding(snapshot);
  return snapshot;
}

void Observer::DescribeTallies(Snapshot& snapshot) {
  const Tally::View view = tally_.Take(Clock::now());
  const Clock::time_point now = Clock::now();
  const DropTally::Figures drops = drops_.tally().figures();
  exported_.Update(view, drops_.tally().Rates(now), now);
  exported_destinations_.Update(Destinations(), now);
  {
    const std::lock_guard lock(recent_mutex_);
    snapshot.rates = rates_.PerSecond();
    snapshot.drop_rules = drop_rules_.top();
  }
  snapshot.totals = view.totals();
  snapshot.other_connections = snapshot.totals.ConnectionsSum();
  snapshot.destinations = exported_destinations_.Divide(snapshot.other_connections);
  // One source may hold all connections without a row.
  snapshot.unexported_source_connections_max = snapshot.totals.unattributed_connections;
  view.ForEach([&](const Tally::Source& source) {
    if (source.connections() <= 0) return;
    ++snapshot.sources;
    if (exported_.Holds(source.row())) return;
    ++snapshot.other_sources;
    if (source.connections() > snapshot.unexported_source_connections_max && !exported_.IsExcluded(source.address()))
      snapshot.unexported_source_connections_max = source.connections();
  });
  for (const ExportedSources::Exported& exported : exported_.exported()) ExportSource(view, exported, snapshot);
  snapshot.nat = nat_.figures();
  exported_nat_.Update(snapshot.nat.get(), now);
  snapshot.nat_exported = exported_nat_.exported();
  snapshot.trust.overflows["nat_export_hold"] = exported_nat_.holds_turned_away();
  snapshot.trust.overflows["nat_export_new"] = exported_nat_.held_back();
  snapshot.trust.overflows["export_hold"] = exported_.holds_turned_away();
  snapshot.trust.overflows["export_new"] = exported_.held_back();
  snapshot.trust.overflows["destination_export_hold"] = exported_destinations_.holds_turned_away();
  snapshot.trust.overflows["destination_export_new"] = exported_destinations_.held_back();
  snapshot.sources_waiting = exported_.waiting();
  snapshot.dropped_packets = drops.packets;
  snapshot.groups = networks_.Divide(snapshot.totals, drops);
  snapshot.trust.overflows["groups"] = networks_.turned_away();
}

void Observer::ExportSource(const Tally::View& view, const ExportedSources::Exported& exported, Snapshot& snapshot) {
  ExportedSource source{NameOf(exported.source), {}, {}, {}};
  source.figures.source = exported.source;
  const auto figures = exported.row != kNoSourceRow ? view.Source(exported.row) : std::nullopt;
  auto drops = drops_.tally().Find(exported.source, Clock::now());
  if (!figures && !drops) return;
  if (figures) source.figures = *figures;
  if (drops) source.drops = std::move(*drops);
  source.limits = LimitsOf(source.figures);
  snapshot.other_connections -= source.figures.connections;
  snapshot.exported.push_back(std::move(source));
}

void Observer::DescribeConntrack(Snapshot& snapshot) const {
  const ConntrackHealth& health = conntrack_.health();
  const auto load = [](const auto& figure) { return figure.load(std::memory_order_relaxed); };
  Trust& trust = snapshot.trust;
  trust.ready = load(health.reconciled);
  trust.events_off = load(health.events_off);
  trust.synced = synced();
  trust.event_source = load(health.event_source);
  trust.events = LoadAll(health.events);
  trust.events_lost = load(health.events_lost);
  trust.messages_skipped = {{"malformed", load(health.messages_malformed)},
                            {"unsupported", load(health.messages_unsupported)}};
  trust.receive_buffer_bytes = load(health.receive_buffer_bytes);
  trust.reconciles = LoadAll(health.reconciles);
  trust.corrections = {load(health.corrections_missed), load(health.corrections_stale)};
  trust.reconcile_duration_seconds = static_cast<double>(load(health.last_reconcile_duration_us)) / 1e6;
  trust.last_reconcile_timestamp_seconds = static_cast<double>(load(health.last_reconcile_wall_ms)) / 1e3;
  trust.overflows["limits_in_rules"] = limits_.turned_away();
  trust.config_reload_successful = reload_successful_.load(std::memory_order_relaxed);
  trust.config_reload_success_timestamp_seconds = static_cast<double>(load(reload_success_ms_)) / 1e3;
  snapshot.flows = load(health.flows);
}

bool Observer::synced() const {
  return conntrack_.health().synced.load(std::memory_order_relaxed) &&
         !conntrack_.health().events_off.load(std::memory_order_relaxed);
}

}  // namespace conntally
