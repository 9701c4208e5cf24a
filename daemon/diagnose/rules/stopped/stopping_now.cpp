// What rules and policies stop at this moment, when nothing was asked: two readings of their counters. A firewall that
// drops is doing its work, so only what grows (or is out of order whatever comes) is told.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <optional>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kToldMax = 5;              // the rules that stop the most
constexpr std::uint64_t kPolicyGrowthMin = 3;    // every policy sees stray multicast and the like
constexpr std::uint64_t kTidyingGrowthMin = 10;  // ending connections leave a stray packet or two
constexpr std::uint64_t kManyPackets = 100;      // that a rule has stopped since it was created

bool Stops(const Rule& rule) {
  return (rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject) && rule.jump_target.empty() &&
         rule.map.empty();
}

bool TakesEverything(const Rule& rule) {
  return rule.fully_understood && rule.conditions.empty() && rule.limits.empty();
}

// Rules that only tidy up: packets of no connection, and broadcast noise.
bool IsHousekeeping(const Rule& rule) {
  return std::any_of(rule.conditions.begin(), rule.conditions.end(), [](const RuleCondition& condition) {
    using Kind = RuleCondition::Kind;
    const bool invalid = condition.kind == Kind::kConntrackState && !condition.negated && !condition.numbers.empty() &&
                         condition.numbers.front().first == 1;
    return invalid || condition.kind == Kind::kPacketType || condition.kind == Kind::kDestinationType;
  });
}

// A blocklist: dropping is its purpose.
bool IsBlocklist(const RuleCase& rules, const Rule& rule) {
  const bool by_set = std::any_of(rule.conditions.begin(), rule.conditions.end(), [](const RuleCondition& condition) {
    return condition.kind == RuleCondition::Kind::kSource && !condition.set.empty() && !condition.negated;
  });
  return by_set || OwnerOf(rules.inputs.after, rule.backend, rule.family, rule.table, rule.chain) == "fail2ban";
}

struct Growing {
  Decision stop;
  std::uint64_t growth = 0;
  std::uint64_t packets = 0;
};

void TellRule(const RuleCase& rules, const Growing& one, Report& report) {
  const Rule& rule = rules.walker.rule(*one.stop.rule);
  double certainty = IsBlocklist(rules, rule) ? 0.25 : IsHousekeeping(rule) ? 0.3 : 0.7;
  if (one.growth >= 10 && certainty > 0.5) certainty = 0.8;
  if (one.growth == 0) certainty = 0.35;
  Finding finding = StoppedBy(rules, one.stop, TakenBy(rule), certainty);
  finding.when = one.growth > 0 ? When::kNow : When::kPast;
  finding.title = fmt::format("Rule {} of chain {} {} {}", rule.position + 1, rule.chain,
                              one.growth > 0 ? "is stopping packets now:" : "has stopped many packets:",
                              Grouped(one.growth > 0 ? one.growth : one.packets));
  report.findings.push_back(std::move(finding));
}

void CheckRulesThatStop(const RuleCase& rules, Report& report) {
  std::vector<Growing> growing;
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (std::size_t i = 0; i < one.ruleset->rules.size(); ++i) {
      const Rule& rule = one.ruleset->rules[i];
      if (!Stops(rule) || !rule.limits.empty()) continue;
      const RuleRef ref{backend, i};
      const std::uint64_t growth = rules.Growth(ref), packets = rules.Packets(ref).value_or(0);
      const bool suspicious =
          packets >= kManyPackets && !IsBlocklist(rules, rule) && !IsHousekeeping(rule) && !TakesEverything(rule);
      if (growth == 0 && !suspicious) continue;
      if (growth < kTidyingGrowthMin && IsHousekeeping(rule)) continue;
      growing.push_back({{rule.verdict, Match::kYes, {}, {}, ref, {}}, growth, packets});
    }
  }
  const auto worse = [](const Growing& a, const Growing& b) {
    return std::pair(a.growth, a.packets) > std::pair(b.growth, b.packets);
  };
  std::sort(growing.begin(), growing.end(), worse);
  if (growing.size() > kToldMax) growing.resize(kToldMax);
  for (Growing& one : growing) {
    const auto base = rules.BaseOf(rules.walker.rule(*one.stop.rule));
    if (!base) continue;
    one.stop.base = *base;
    TellRule(rules, one, report);
  }
}

void CheckPolicies(const RuleCase& rules, Report& report) {
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (std::size_t i = 0; i < one.ruleset->chains.size(); ++i) {
      const RuleChain& chain = one.ruleset->chains[i];
      const ChainRef ref{backend, i};
      const std::uint64_t growth = rules.PolicyGrowth(ref);
      if (!chain.base || chain.policy != Verdict::kDrop || growth < kPolicyGrowthMin) continue;
      Packet packet;
      packet.family = chain.family == RuleFamily::kIp6 ? Family::kIpv6 : Family::kIpv4;
      Finding finding = StoppedBy(rules, {Verdict::kDrop, Match::kYes, {}, ref, std::nullopt, {}}, packet, 0.5);
      finding.title = fmt::format("The policy of chain {} is dropping packets now: {}", chain.name, Grouped(growth));
      report.findings.push_back(std::move(finding));
    }
  }
}

// Accepts after a rule that lets nothing reach them.
void CheckShadowed(const RuleCase& rules, Report& report) {
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (const RuleChain& chain : one.ruleset->chains) {
      std::optional<std::size_t> stops, accepts;
      for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
        const Rule& rule = one.ruleset->rules[i];
        if (!stops && Stops(rule) && TakesEverything(rule)) stops = i;
        if (stops && !accepts && rule.verdict == Verdict::kAccept) accepts = i;
      }
      if (!accepts || report.Has(FindingId::kLateAccept)) continue;
      const RuleRef ref{backend, *stops};
      const auto base = rules.BaseOf(one.ruleset->rules[*stops]);
      if (!base) continue;
      const Decision stop{one.ruleset->rules[*stops].verdict, Match::kYes, {}, *base, ref, {}};
      Walk walk;
      walk.late_accept = Decision{Verdict::kAccept, Match::kYes, {}, *base, RuleRef{backend, *accepts}, {}};
      report.findings.push_back(LateAccept(rules, walk, stop, rules.Growth(ref) > 0 ? 0.85 : 0.65));
      report.findings.back().title = "A rule that accepts is never reached: " + report.findings.back().title;
    }
  }
}

}  // namespace

void CheckStoppingNow(const RuleCase& rules, Report& report) {
  CheckShadowed(rules, report);
  CheckRulesThatStop(rules, report);
  CheckPolicies(rules, report);
  report.checked.push_back(
      fmt::format("which rules and policies stopped packets in the {:.1f} s of this observation", rules.seconds()));
}

}  // namespace conntally::diagnose
