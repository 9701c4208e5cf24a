#include "daemon/alerts/alert_rules.h"

#include <algorithm>

namespace conntally {
namespace {

double Seconds(std::chrono::milliseconds duration) { return std::chrono::duration<double>(duration).count(); }

AlertRule Higher(const Tiers<double>& tiers) { return {{tiers.warning, tiers.critical}, tiers.for_at_least}; }

}  // namespace

double AlertRule::Badness(double value) const {
  constexpr double kLeast = 1e-9;
  const double threshold = std::max(least_threshold(), kLeast);
  return worse_when_lower ? threshold / std::max(value, kLeast) : value / threshold;
}

AlertRules::AlertRules(const Config::Alerts& config) {
  const auto rule = [&](AlertKind kind) -> AlertRule& { return rules_[static_cast<std::size_t>(kind)]; };
  rule(AlertKind::kConntrackTableNearlyFull) = Higher(config.table_usage);
  const auto& within = config.table_full_within;
  rule(AlertKind::kConntrackTableFillPredicted) = {{Seconds(within.warning), Seconds(within.critical)},
                                                   within.for_at_least};
  rule(AlertKind::kConntrackTableFillPredicted).worse_when_lower = true;
  // One packet lost for want of room is one too many.
  rule(AlertKind::kConntrackTableFull) = {{std::nullopt, 1.0}};
  rule(AlertKind::kConntrackInsertFailed) = {{kInsertFailedMin, std::nullopt}};
  rule(AlertKind::kSourceNearTableLimit) = Higher(config.source_table_share);
  rule(AlertKind::kSourceNearConnectionLimit) = Higher(config.source_limit_usage);
  rule(AlertKind::kSourceMatchesDropRule) = Higher(config.source_drop_rate);
  rule(AlertKind::kSourceConnectionChurn) = Higher(config.source_new_rate);
  rule(AlertKind::kSourceScanning) = Higher(config.source_scan);
  rule(AlertKind::kDropRuleSpike) = Higher(config.drop_rule_spike);
  rule(AlertKind::kConntallyDegraded) = {{1.0, std::nullopt}};
  for (AlertRule& each : rules_) each.clear_ratio = config.clear_ratio;
}

}  // namespace conntally
