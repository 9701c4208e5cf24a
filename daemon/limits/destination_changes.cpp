#include "daemon/limits/destination_changes.h"

#include <algorithm>

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

bool Meet(const std::vector<NumberRange>& some, const std::vector<NumberRange>& others) {
  return std::any_of(some.begin(), some.end(), [&](const NumberRange& a) {
    return std::any_of(others.begin(), others.end(),
                       [&](const NumberRange& b) { return a.first <= b.last && b.first <= a.last; });
  });
}

// The destination ports in the conditions; empty: any.
std::vector<NumberRange> AskedPorts(const std::vector<RuleCondition>& conditions) {
  for (const RuleCondition& condition : conditions) {
    if (condition.kind == Kind::kDestinationPort && !condition.negated) return condition.numbers;
  }
  return {};
}

}  // namespace

DestinationChanges::DestinationChanges(const RuleFigures& figures) {
  for (const auto& [backend, of_backend] : figures.backends) {
    if (!of_backend.snapshot.ruleset) continue;
    const Ruleset& ruleset = *of_backend.snapshot.ruleset;
    for (const RuleChain& chain : ruleset.chains) {
      if (chain.base && (chain.hook == "postrouting" || chain.hook == "input")) continue;  // only source NAT
      for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) Add(ruleset.rules[i]);
    }
  }
}

void DestinationChanges::Add(const Rule& rule) {
  if (rule.verdict != Verdict::kNat) return;
  if (rule.nat && (rule.nat->kind == NatTarget::Kind::kSource || rule.nat->kind == NatTarget::Kind::kMasquerade))
    return;
  const bool known = rule.nat && rule.nat->known && rule.nat->kind != NatTarget::Kind::kOther;
  if (known) return Give(rule.conditions, rule.nat->addresses, rule.nat->ports);
  if (rule.nat && !rule.nat->choices.empty()) {
    for (const NatTarget::Choice& choice : rule.nat->choices) Give(choice.key, choice.addresses, choice.ports);
    return;
  }
  addresses_.emplace_back();
  ports_.push_back({AskedPorts(rule.conditions), {}});
}

void DestinationChanges::Give(const std::vector<RuleCondition>& conditions,
                              const std::optional<AddressRange>& addresses, const std::optional<NumberRange>& ports) {
  addresses_.push_back(addresses);
  if (ports) ports_.push_back({AskedPorts(conditions), ports});  // else the port stays
}

std::optional<std::vector<NumberRange>> DestinationChanges::AskedAs(const std::vector<NumberRange>& seen) const {
  std::vector<NumberRange> asked = seen;
  for (const PortChange& change : ports_) {
    if (change.to && !Meet(seen, {*change.to})) continue;
    if (!change.to || change.from.empty()) return std::nullopt;
    asked.insert(asked.end(), change.from.begin(), change.from.end());
  }
  return asked;
}

bool DestinationChanges::KeepPorts(const std::vector<NumberRange>& asked) const {
  return std::none_of(ports_.begin(), ports_.end(),
                      [&](const PortChange& change) { return change.from.empty() || Meet(asked, change.from); });
}

bool DestinationChanges::KeepAddresses(const RuleCondition& condition, bool at_most) const {
  if (addresses_.empty()) return true;
  if (!at_most || condition.negated || !condition.set.empty()) return false;
  return std::none_of(addresses_.begin(), addresses_.end(), [&](const std::optional<AddressRange>& given) {
    return !given || AddressRanges(condition.addresses).Meeting(*given);
  });
}

}  // namespace conntally
