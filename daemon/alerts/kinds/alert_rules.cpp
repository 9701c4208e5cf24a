#include "daemon/alerts/kinds/alert_rules.h"

#include <algorithm>

namespace conntally {
namespace {

double Seconds(std::chrono::milliseconds duration) { return std::chrono::duration<double>(duration).count(); }

AlertRule Tiered(double warning, double critical, std::chrono::milliseconds for_at_least) {
  return {{std::nullopt, AlertTier{warning, for_at_least}, AlertTier{critical, for_at_least}}};
}
AlertRule Higher(const Tiers<double>& tiers) { return Tiered(tiers.warning, tiers.critical, tiers.for_at_least); }
AlertRule Only(Severity severity, double threshold) {
  AlertRule rule;
  rule.tiers[static_cast<std::size_t>(severity)] = AlertTier{threshold, {}};
  return rule;
}

}  // namespace

AlertRule AlertRule::Milder() const {
  AlertRule milder = *this;
  std::copy(tiers.begin() + 1, tiers.end(), milder.tiers.begin());
  milder.tiers.back().reset();
  return milder;
}

double AlertRule::least_threshold() const {
  return std::find_if(tiers.begin(), tiers.end(), [](const auto& tier) { return tier.has_value(); })->value().threshold;
}

double AlertRule::Badness(double value) const {
  constexpr double kLeast = 1e-9;
  const double threshold = std::max(least_threshold(), kLeast);
  return worse_when_lower ? threshold / std::max(value, kLeast) : value / threshold;
}

AlertRules::AlertRules(const Config::Alerts& config) {
  const auto rule = [&](AlertKind kind) -> AlertRule& { return rules_[static_cast<std::size_t>(kind)]; };
  rule(AlertKind::kConntrackTableNearlyFull) = Higher(config.table_usage);
  const auto& within = config.table_full_within;
  rule(AlertKind::kConntrackTableFillPredicted) =
      Tiered(Seconds(within.warning), Seconds(within.critical), within.for_at_least);
  rule(AlertKind::kConntrackTableFillPredicted).worse_when_lower = true;
  // One packet lost for lack of room is one too many.
  rule(AlertKind::kConntrackTableFull) = Only(Severity::kCritical, 1);
  rule(AlertKind::kConntrackInsertFailed) = Only(Severity::kWarning, kInsertFailedMin);
  rule(AlertKind::kSourceNearTableLimit) = Higher(config.source_table_share);
  rule(AlertKind::kSourceNearConnectionLimit) = Higher(config.source_limit_usage);
  rule(AlertKind::kSourceMatchesDropRule) = Higher(config.source_drop_rate);
  rule(AlertKind::kSourceConnectionChurn) = Higher(config.source_new_rate);
  rule(AlertKind::kSourceScanning) = Higher(config.source_scan);
  rule(AlertKind::kDropRuleSpike) = Higher(config.drop_rule_spike);
  rule(AlertKind::kNatPortsNearlyExhausted) = Higher(config.nat_port_usage);
  rule(AlertKind::kConntallyDegraded) = Only(Severity::kWarning, 1);
  rule(AlertKind::kConnectionsUnanswered) = Tiered(0.5, 0.8, std::chrono::seconds(30));
  rule(AlertKind::kRegularSourcesDropped) = Tiered(3, 20, std::chrono::seconds(2));
  rule(AlertKind::kHalfOpenFlood) = Tiered(10, 100, std::chrono::seconds(20));
  for (AlertRule& each : rules_) each.clear_ratio = config.clear_ratio;
}

}  // namespace conntally
