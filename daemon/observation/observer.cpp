#include "daemon/observation/observer.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "daemon/observation/history_sources.h"
#include "daemon/process/build_info.h"
#include "daemon/process/process_figures.h"

namespace conntally {
namespace {

WallSeconds WallNow() { return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()); }

ExportedSources::Options ExportOptions(const Config& config) {
  return {config.sources.export_top, config.sources.export_hold, config.sources.exclude,
          config.sources.export_new_max_per_hour};
}

template <std::size_t kSize>
std::array<std::uint64_t, kSize> LoadAll(const std::array<std::atomic<std::uint64_t>, kSize>& counters) {
  std::array<std::uint64_t, kSize> values;
  for (std::size_t i = 0; i < kSize; ++i) values[i] = counters[i].load(std::memory_order_relaxed);
  return values;
}

}  // namespace

Observer::Observer(const Config& config, Tally& tally, ConntrackCollector& conntrack, TableCollector& table,
                   RuleCollector& rules, DropCollector& drops, std::vector<const Collector*> collectors)
    : config_(std::make_shared<Config>(config)),
      ipv4_prefix_(config.sources.ipv4_prefix),
      ipv6_prefix_(config.sources.ipv6_prefix),
      tally_(tally),
      conntrack_(conntrack),
      table_(table),
      rules_(rules),
      drops_(drops),
      collectors_(std::move(collectors)),
      exported_(ExportOptions(config)) {}

std::shared_ptr<const Config> Observer::config() const {
  const std::lock_guard lock(config_mutex_);
  return config_;
}

void Observer::set_reload(bool successful, std::chrono::system_clock::time_point when) {
  reload_successful_.store(successful, std::memory_order_relaxed);
  if (!successful) return;
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch());
  reload_success_ms_.store(since_epoch.count(), std::memory_order_relaxed);
}

void Observer::set_config(const Config& config) {
  {
    const std::lock_guard lock(config_mutex_);
    config_ = std::make_shared<Config>(config);
  }
  rules_.set_config(config.rules);
  const Tally::View view = tally_.Take(WallNow());
  exported_.set_options(ExportOptions(config));
}

void Observer::Tick() {
  const auto table = table_.Sample(synced() ? std::optional(established_) : std::nullopt);
  limits_.Follow(rules_.figures(), rules_.forwards(), rules_.connections_per_source_max(), conntrack_.census());
  const auto settings = config();
  const auto idle_retention = std::chrono::ceil<std::chrono::seconds>(settings->sources.idle_retention);
  const WallSeconds wall = WallNow();
  const Clock::time_point now = Clock::now();
  Tally::View view = tally_.Take(wall);
  tally_.Advance(view, wall, now - last_tick_, idle_retention);
  last_tick_ = now;
  const auto state = FlowStateIndex::Tcp(static_cast<std::uint8_t>(TcpState::kEstablished));
  established_ = static_cast<std::uint64_t>(std::max<std::int64_t>(view.totals().connections[state.value()], 0));
  exported_.Update(view, drops_.tally().Rates(now), now);
  Remember(view, table, wall, now);
}

// What charts and rates are made of.
void Observer::Remember(const Tally::View& view, const std::optional<TableStatistics>& table, WallSeconds wall,
                        Clock::time_point now) {
  const TotalFigures& totals = view.totals();
  const auto sum = [](const auto& counters) {
    return std::accumulate(counters.begin(), counters.end(), std::uint64_t{0});
  };
  CounterSample counters{.opened = sum(totals.opened),
                         .closed = sum(totals.closed),
                         .dropped_packets = sum(drops_.tally().figures().packets)};
  if (table) {
    counters.table_drops = table->counter(TableCounter::kDrop);
    counters.table_early_drops = table->counter(TableCounter::kEarlyDrop);
    counters.table_insert_failed = table->counter(TableCounter::kInsertFailed);
  }
  HistorySample sample;
  {
    const std::lock_guard lock(recent_mutex_);
    rates_.Add(now, counters);
    drop_rules_.Add(now, rules_.figures());
    table_full_lines_.Add(now, drops_.table_full_lines(), table ? &*table : nullptr);
    sample.rates = rates_.PerSecond();
  }
  if (now < next_history_ || !ready()) return;
  next_history_ = std::max(next_history_ + History::kInterval, now + History::kInterval / 2);
  if (table) sample.entries = table->entries, sample.limit = table->limit.value_or(0);
  sample.connections = GroupStates(totals);
  std::uint64_t sources = 0;
  auto stand_out = SourcesThatStandOut(view, drops_.tally().Rates(now), sources);
  sample.sources = sources;
  history_.Add(wall, sample, stand_out);
}

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
  snapshot.dropped_packets = drops_.tally().figures().packets;
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
  const Tally::View view = tally_.Take(WallNow());
  const Clock::time_point now = Clock::now();
  exported_.Update(view, drops_.tally().Rates(now), now);
  {
    const std::lock_guard lock(recent_mutex_);
    snapshot.rates = rates_.PerSecond();
    snapshot.drop_rules = drop_rules_.top();
  }
  snapshot.totals = view.totals();
  snapshot.other_connections = snapshot.totals.ConnectionsSum();
  view.ForEachSource([&](SourceRow row, const SourceFigures& figures) {
    if (figures.connections > 0) {
      ++snapshot.sources;
      snapshot.unreplied += figures.unreplied;
      if (exported_.Holds(row)) return;
      ++snapshot.other_sources;
      if (!exported_.IsExcluded(figures.source)) {
        snapshot.unexported_source_connections_max =
            std::max(snapshot.unexported_source_connections_max, figures.connections);
      }
    }
  });
  for (const ExportedSources::Exported& exported : exported_.exported()) ExportSource(view, exported, snapshot);
  snapshot.trust.overflows["export_hold"] = exported_.holds_turned_away();
  snapshot.trust.overflows["export_new"] = exported_.held_back();
  snapshot.sources_waiting = exported_.waiting();
}

void Observer::ExportSource(const Tally::View& view, const ExportedSources::Exported& exported, Snapshot& snapshot) {
  ExportedSource source{NameOf(exported.source), {}, {}, {}};
  source.figures.source = exported.source;
  const SourceFigures* figures = exported.row != kNoSourceRow ? view.Source(exported.row) : nullptr;
  auto drops = drops_.tally().Find(exported.source, Clock::now());
  if (figures == nullptr && !drops) return;
  if (figures != nullptr) source.figures = *figures;
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
  const ConntrackHealth& health = conntrack_.health();
  return health.synced.load(std::memory_order_relaxed) && !health.events_off.load(std::memory_order_relaxed);
}

void Observer::ForEachSource(const std::optional<Prefix>& within, const std::function<void(KnownSource)>& visit) {
  const auto wanted = [&](const IpAddress& source) {
    return !within || within->Contains(source) || GroupOf(source).Contains(within->address);
  };
  std::map<IpAddress, SourceDrops> dropped;
  for (SourceDrops& drops : drops_.tally().Sources(Clock::now())) {
    if (wanted(drops.source)) dropped.emplace(drops.source, std::move(drops));
  }
  const Tally::View view = tally_.Take(WallNow());
  view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
    if (!wanted(figures.source)) return;
    KnownSource source{figures, {}, exported_.Holds(figures.source)};
    const auto drops = dropped.empty() ? dropped.end() : dropped.find(figures.source);
    if (drops != dropped.end()) {
      source.figures.first_seen = std::min(source.figures.first_seen, drops->second.first_seen);
      source.figures.last_seen = std::max(source.figures.last_seen, drops->second.last_seen);
      source.drops = std::move(drops->second);
      dropped.erase(drops);
    }
    visit(std::move(source));
  });
  for (auto& [address, drops] : dropped) {
    SourceFigures figures;
    figures.source = address;
    figures.first_seen = drops.first_seen;
    figures.last_seen = drops.last_seen;
    visit({figures, std::move(drops), exported_.Holds(address)});
  }
}

Prefix Observer::GroupOf(const IpAddress& source) const {
  return {source, source.family == Family::kIpv4 ? ipv4_prefix_ : ipv6_prefix_};
}

std::string Observer::HistoryJson(const IpAddress& source) const {
  const Prefix group = GroupOf(source);
  return history_.Json(Masked(source, group.length), NameOf(source));
}

std::string Observer::NameOf(const IpAddress& source) const { return GroupOf(source).ToString(); }

std::vector<SourceLimit> Observer::LimitsOf(const SourceFigures& source) const {
  return limits_.Of(GroupOf(source.source), source.connections, config()->limits, conntrack_.census());
}

}  // namespace conntally
