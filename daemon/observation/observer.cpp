#include "daemon/observation/observer.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "daemon/observation/history/history_sources.h"

namespace conntally {
namespace {

ExportedSources::Options ExportOptions(const Config& config) {
  return {config.sources.export_top, config.sources.export_hold, config.sources.exclude,
          config.sources.export_new_max_per_hour};
}

TopOptions NatOptions(const Config& config) {
  return {config.nat.export_top, config.sources.export_hold, config.sources.export_new_max_per_hour};
}

TopOptions DestinationExportOptions(const Config& config) {
  return {config.destinations.export_top, config.sources.export_hold, config.sources.export_new_max_per_hour};
}

}  // namespace

Observer::Observer(const Config& config, Tally& tally, ConntrackCollector& conntrack, TableCollector& table,
                   RuleCollector& rules, DropCollector& drops, NatCollector& nat,
                   std::vector<const Collector*> collectors)
    : config_(std::make_shared<Config>(config)),
      grouping_(config.sources.grouping()),
      tally_(tally),
      conntrack_(conntrack),
      table_(table),
      rules_(rules),
      drops_(drops),
      nat_(nat),
      collectors_(std::move(collectors)),
      exported_(ExportOptions(config)),
      exported_nat_(NatOptions(config)),
      exported_destinations_(DestinationExportOptions(config)) {
  SetGroups(config);
}

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
  const Tally::View view = tally_.Take(Clock::now());
  exported_.set_options(ExportOptions(config));
  exported_nat_.set_options(NatOptions(config));
  exported_destinations_.set_options(DestinationExportOptions(config));
  SetGroups(config);
}

void Observer::SetGroups(const Config& config) {
  const auto groups = networks_.Take(config.sources.groups);
  conntrack_.set_groups(groups);
  drops_.set_groups(groups);
}

void Observer::Tick() {
  const auto table = table_.Sample(synced() ? std::optional(established_) : std::nullopt);
  if (table) nat_.Notice(table->counter(TableCounter::kInsertFailed));
  limits_.Follow(rules_.figures(), rules_.forwards(), rules_.connections_per_source_max(), conntrack_.census());
  const auto settings = config();
  const auto idle_retention = std::chrono::ceil<std::chrono::seconds>(settings->sources.idle_retention);
  const Clock::time_point now = Clock::now();
  Tally::View view = tally_.Take(now);
  tally_.Advance(view, now, now - last_tick_, idle_retention);
  last_tick_ = now;
  const auto state = FlowStateIndex::Tcp(static_cast<std::uint8_t>(TcpState::kEstablished));
  established_ = static_cast<std::uint64_t>(std::max<std::int64_t>(view.totals().connections[state.value()], 0));
  exported_.Update(view, drops_.tally().Rates(now), now);
  exported_nat_.Update(nat_.figures().get(), now);
  exported_destinations_.Update(Destinations(), now);
  Remember(view, table, now);
}

// Stores the samples for charts and rates.
void Observer::Remember(const Tally::View& view, const std::optional<TableStatistics>& table, Clock::time_point now) {
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
  history_.Add(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()), sample, stand_out);
}

void Observer::ForEachSource(const std::optional<Prefix>& within, const std::function<void(KnownSource)>& visit) {
  const auto wanted = [&](const IpAddress& source) {
    return !within || within->Contains(source) || GroupOf(source).Contains(within->address);
  };
  std::map<IpAddress, SourceDrops> dropped;
  for (SourceDrops& drops : drops_.tally().Sources(Clock::now())) {
    if (wanted(drops.source)) dropped.emplace(drops.source, std::move(drops));
  }
  const Tally::View view = tally_.Take(Clock::now());
  view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
    if (!wanted(figures.source)) return;
    KnownSource source{figures, {}, exported_.Holds(figures.source)};
    const auto drops = dropped.empty() ? dropped.end() : dropped.find(figures.source);
    if (drops != dropped.end()) {
      source.figures.first_seen = std::min(source.figures.first_seen, drops->second.first_seen);
      source.figures.last_seen = std::max(source.figures.last_seen, drops->second.last_seen);
      source.drops = std::make_unique<const SourceDrops>(std::move(drops->second));
      dropped.erase(drops);
    }
    visit(std::move(source));
  });
  for (auto& [address, drops] : dropped) {
    const SourceFigures figures{.source = address, .first_seen = drops.first_seen, .last_seen = drops.last_seen};
    visit({figures, std::make_unique<const SourceDrops>(std::move(drops)), exported_.Holds(address)});
  }
}

Prefix Observer::GroupOf(const IpAddress& source) const { return {source, grouping_.Of(source.family)}; }

std::string Observer::HistoryJson(const IpAddress& source) const {
  return history_.Json(grouping_.GroupOf(source), NameOf(source));
}

std::string Observer::NameOf(const IpAddress& source) const { return GroupOf(source).ToString(); }

std::vector<SourceLimit> Observer::LimitsOf(const SourceFigures& source) const {
  return limits_.Of(GroupOf(source.source), source.connections, config()->limits, conntrack_.census());
}

}  // namespace conntally
