#include "daemon/drops/rule_readings.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace conntally {
namespace {

void TakeTotalsAs(const BackendFigures& figures, const BackendFigures& other, BackendReading& snapshot) {
  std::unordered_map<std::uint64_t, std::optional<RuleCounter>> by_series;
  for (const RuleTotal& total : figures.totals) by_series[total.series] = total.counter;
  snapshot.counters.clear();
  for (const RuleTotal& total : other.totals) {
    const auto found = by_series.find(total.series);
    snapshot.counters.push_back(found != by_series.end() ? found->second : std::nullopt);
  }
  std::map<std::tuple<RuleFamily, std::string_view, std::string_view>, std::optional<RuleCounter>> policies;
  const std::vector<RuleChain>& chains = figures.snapshot.ruleset->chains;
  for (std::size_t i = 0; i < figures.policy_totals.size(); ++i)
    policies[{chains[i].family, chains[i].table, chains[i].name}] = figures.policy_totals[i];
  snapshot.policies.clear();
  for (const RuleChain& chain : other.snapshot.ruleset->chains) {
    const auto found = policies.find({chain.family, chain.table, chain.name});
    snapshot.policies.push_back(found != policies.end() ? found->second : std::nullopt);
  }
  snapshot.ruleset = other.snapshot.ruleset;
}

// The counters in `reading` for the rules of `other`; none for rules that `reading` lacks.
FirewallReading SnapshotAs(const RuleFigures& reading, const RuleFigures& other) {
  FirewallReading snapshot = SnapshotOf(reading);
  for (auto& [backend, read] : snapshot.backends) {
    const auto as = other.backends.find(backend);
    if (as == other.backends.end() || as->second.snapshot.ruleset == read.ruleset) continue;
    TakeTotalsAs(reading.backends.at(backend), as->second, read);
  }
  return snapshot;
}

bool HaveSameRules(const RuleFigures& first, const RuleFigures& last) {
  return std::ranges::equal(first.backends, last.backends, [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.snapshot.ruleset == b.second.snapshot.ruleset;
  });
}

std::uint64_t RuleCount(const FirewallReading& snapshot) {
  std::uint64_t rules = 1;
  for (const auto& [backend, read] : snapshot.backends) {
    if (!read.present || !read.ruleset) continue;
    for (const Rule& rule : read.ruleset->rules) rules += 1 + rule.map.size();
  }
  return rules;
}

}  // namespace

FirewallReading SnapshotOf(const RuleFigures& reading) {
  FirewallReading snapshot;
  for (const auto& [backend, figures] : reading.backends) {
    BackendReading& read = snapshot.backends[backend] = figures.snapshot;
    read.counters.clear();
    for (const RuleTotal& total : figures.totals) read.counters.push_back(total.counter);
    read.policies = figures.policy_totals;
  }
  snapshot.ipsets = reading.ipsets;
  return snapshot;
}

bool HasDropRules(const FirewallReading& snapshot) {
  return std::any_of(snapshot.backends.begin(), snapshot.backends.end(), [](const auto& backend) {
    const BackendReading& read = backend.second;
    if (!read.present || !read.ruleset) return false;
    return std::any_of(read.ruleset->rules.begin(), read.ruleset->rules.end(), [](const Rule& rule) {
      return rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject || !rule.map.empty();
    });
  });
}

ReadingsAttributor::ReadingsAttributor(const RuleFigures& first, const RuleFigures& last)
    : changed_(!HaveSameRules(first, last)),
      first_(SnapshotAs(first, last)),
      last_(SnapshotOf(last)),
      first_then_(changed_ ? SnapshotOf(first) : FirewallReading()),
      last_then_(changed_ ? SnapshotAs(last, first) : FirewallReading()) {}

std::uint64_t ReadingsAttributor::rules() const { return RuleCount(last_) + (changed_ ? RuleCount(first_then_) : 0); }

DropAttribution ReadingsAttributor::Of(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets) {
  const DropAttribution now = by_last_.Of(key, interfaces, packets);
  if (!changed_ || (!now.rule && !now.none_can)) return now;
  const DropAttribution then = by_first_.Of(key, interfaces, packets);
  if (now.none_can || then.none_can) return now.rule ? now : then;
  if (then.rule == now.rule) return now;
  return {.may_follow = then.may_follow};
}

}  // namespace conntally
