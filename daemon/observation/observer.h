// Observer: reads the collectors and the tallies, and makes snapshots. It owns what concerns several of them: which
// sources are exported, how long idle ones are kept, the configured limits.
//
// Threads: Tick on the main thread, once a second. TakeSnapshot, GatherEvidence, ForEachSource and set_config on any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collectors/conntrack/conntrack_collector.h"
#include "collectors/nat/nat_collector.h"
#include "collectors/table/table_full_lines.h"
#include "collectors/tally/tally.h"
#include "config/config.h"
#include "daemon/alerts/evidence/evidence.h"
#include "daemon/alerts/kinds/alert_rules.h"
#include "daemon/drops/drop_collector.h"
#include "daemon/limits/source_limits.h"
#include "daemon/observation/exported/exported_destinations.h"
#include "daemon/observation/exported/exported_nat.h"
#include "daemon/observation/exported/exported_sources.h"
#include "daemon/observation/history/history.h"
#include "daemon/observation/history/recent_rates.h"
#include "daemon/observation/snapshot/named_networks.h"
#include "daemon/observation/snapshot/snapshot.h"
#include "daemon/observation/table_collector.h"
#include "daemon/rules/drop_rules.h"
#include "daemon/rules/rule_collector.h"

namespace conntally {

class Observer {
 public:
  // All must outlive the observer, which asks each of `collectors` for its report.
  Observer(const Config& config, Tally& tally, ConntrackCollector& conntrack, TableCollector& table,
           RuleCollector& rules, DropCollector& drops, NatCollector& nat, std::vector<const Collector*> collectors);

  void Tick();
  Snapshot TakeSnapshot();
  // The figures that the alerts judge.
  AlertEvidence GatherEvidence(const AlertRules& rules);

  // Visits every source that has connections or dropped packets, or only those in a prefix (and the group that contains
  // it, where sources are grouped), at one moment. Other views wait until it ends.
  void ForEachSource(const std::optional<Prefix>& within, const std::function<void(KnownSource)>& visit);

  // A source's name: its address, or its group's prefix.
  std::string NameOf(const IpAddress& source) const;
  // The limits on the source's connections, the most used first.
  std::vector<SourceLimit> LimitsOf(const SourceFigures& source) const;

  // The drops of every source that the drop tally tracks.
  std::vector<SourceDrops> Drops() const { return drops_.tally().Sources(std::chrono::steady_clock::now()); }

  // The destinations of the connections; null before the first survey.
  std::shared_ptr<const DestinationFigures> Destinations() const { return conntrack_.destinations(); }

  // The rules and their counters; null before the first reading.
  std::shared_ptr<const RuleFigures> Rules() const { return rules_.figures(); }

  // Null before the first survey.
  std::shared_ptr<const NatFigures> Nat() const { return nat_.figures(); }

  // The last hour: of all sources; of one source (or its group).
  std::string HistoryJson() const { return history_.Json(); }
  std::string HistoryJson(const IpAddress& source) const;

  // A snapshot of the collectors' state only, which is cheap.
  Snapshot TakeStanding();

  // Applies the keys that may change while the daemon runs.
  void set_config(const Config& config);
  // The result of reading the configuration, at start or at a reload.
  void set_reload(bool successful, std::chrono::system_clock::time_point when);

  bool ready() const { return conntrack_.health().reconciled.load(std::memory_order_relaxed); }
  // Whether nothing is known to be stale.
  bool synced() const;

 private:
  using Clock = std::chrono::steady_clock;

  Prefix GroupOf(const IpAddress& source) const;
  std::shared_ptr<const Config> config() const;
  void Remember(const Tally::View& view, const std::optional<TableStatistics>& table, Clock::time_point now);
  void SetGroups(const Config& config);
  void DescribeTallies(Snapshot& snapshot);
  void ExportSource(const Tally::View& view, const ExportedSources::Exported& exported, Snapshot& snapshot);
  void DescribeCollectors(Snapshot& snapshot);
  void DescribeStanding(Snapshot& snapshot) const;  // of every collector
  void DescribeConntrack(Snapshot& snapshot) const;
  void GatherSources(const AlertRules& rules, AlertEvidence& evidence);
  void GatherDropped(AlertEvidence& evidence);
  void GatherOwnDrops(AlertEvidence& evidence);
  bool IsOwn(const IpAddress& source) const { return own_addresses_.contains(source); }

  mutable std::mutex config_mutex_;
  std::shared_ptr<const Config> config_;
  const SourceGrouping grouping_;
  Tally& tally_;
  ConntrackCollector& conntrack_;
  TableCollector& table_;
  RuleCollector& rules_;
  DropCollector& drops_;
  NatCollector& nat_;
  const std::vector<const Collector*> collectors_;
  SourceLimits limits_;
  std::set<IpAddress> own_addresses_;  // only within GatherEvidence; grouped as sources are
  Clock::time_point next_regulars_{};  // only within GatherEvidence
  ExportedSources exported_;           // this and the next three: only with a view of the tally
  ExportedNat exported_nat_;
  ExportedDestinations exported_destinations_;
  NamedNetworks networks_;
  Clock::time_point last_tick_ = Clock::now();
  std::uint64_t established_ = 0;  // TCP connections, as of the last tick
  Clock::time_point next_history_{};
  History history_;
  mutable std::mutex recent_mutex_;  // of the three that follow
  RecentRates rates_;
  DropRules drop_rules_;
  TableFullLines table_full_lines_;
  std::atomic<bool> reload_successful_{true};
  std::atomic<std::int64_t> reload_success_ms_{0};  // since the epoch; relaxed, as above: each figure stands alone
};

}  // namespace conntally
