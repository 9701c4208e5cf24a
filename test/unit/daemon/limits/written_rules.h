// Rules as tests write them down, and what the rule collector would make of them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectors/rules/rule_counters.h"
#include "collectors/rules/ruleset_finish.h"

namespace conntally::test {

using Kind = RuleCondition::Kind;

inline IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }

inline RuleCondition Numbers(Kind kind, std::vector<NumberRange> numbers, bool negated = false) {
  RuleCondition condition;
  condition.kind = kind;
  condition.negated = negated;
  condition.numbers = std::move(numbers);
  return condition;
}
inline RuleCondition Port(std::uint32_t port) { return Numbers(Kind::kDestinationPort, {{port, port}}); }
inline RuleCondition Protocol(std::uint32_t protocol) { return Numbers(Kind::kProtocol, {{protocol, protocol}}); }
inline RuleCondition State(std::uint32_t bits) { return Numbers(Kind::kConntrackState, {{bits, bits}}); }
inline RuleCondition From(const std::string& prefix, bool negated = false) {
  RuleCondition condition;
  condition.kind = Kind::kSource;
  condition.negated = negated;
  condition.addresses = {RangeOf(Prefix::Parse(prefix).value())};
  return condition;
}
inline RuleCondition FromSet(const std::string& set, bool ipset = false) {
  RuleCondition condition;
  condition.kind = Kind::kSource;
  condition.set = set;
  condition.ipset = ipset;
  return condition;
}
inline RuleCondition On(const std::string& interface) {
  RuleCondition condition;
  condition.kind = Kind::kInInterface;
  condition.interfaces = {interface};
  return condition;
}

inline Rule Rule_(const std::string& text, Verdict verdict, std::vector<RuleCondition> conditions = {},
                  const std::string& target = {}) {
  Rule rule;
  rule.table = "filter";
  rule.text = text;
  rule.verdict = verdict;
  rule.jump_target = target;
  rule.has_counter = true;
  rule.fully_understood = true;
  rule.conditions = std::move(conditions);
  return rule;
}

inline MappedVerdict Mapped(Verdict verdict, RuleCondition key, const std::string& target = {}) {
  MappedVerdict mapped;
  mapped.verdict = verdict;
  mapped.jump_target = target;
  mapped.key = {std::move(key)};
  return mapped;
}

// `connlimit-above N` by source.
inline Rule Limited(Rule rule, std::uint64_t connections, std::uint8_t prefix = 32, bool above = true) {
  RuleLimit limit;
  limit.kind = RuleLimit::Kind::kConnlimit;
  limit.per = RuleLimit::Per::kSource;
  limit.connections = connections;
  limit.matches_above = above;
  limit.ipv4_prefix = prefix;
  rule.limits.push_back(limit);
  return rule;
}

// Chains of IPv4's table filter, in the order they are added.
class WrittenRules {
 public:
  WrittenRules& Chain(const std::string& name, const std::string& hook = {}, std::vector<Rule> rules = {}) {
    RuleChain chain;
    chain.table = "filter";
    chain.name = name;
    chain.base = !hook.empty();
    chain.hook = hook;
    ruleset_.chains.push_back(chain);
    for (Rule& rule : rules) {
      rule.chain = name;
      ruleset_.rules.push_back(std::move(rule));
    }
    return *this;
  }
  WrittenRules& Set(AddressSet set) {
    sets_.push_back(std::move(set));
    return *this;
  }

  std::shared_ptr<const RuleFigures> Figures(RuleBackend backend = RuleBackend::kIptablesLegacy) const {
    auto ruleset = std::make_shared<Ruleset>(ruleset_);
    ruleset->backend = backend;
    FinishRuleset(*ruleset);
    auto figures = std::make_shared<RuleFigures>();
    BackendFigures& of_backend = figures->backends[backend];
    of_backend.snapshot.present = of_backend.snapshot.success = true;
    of_backend.snapshot.counters.resize(ruleset->rules.size(), RuleCounter{});
    of_backend.snapshot.policies.resize(ruleset->chains.size());
    of_backend.totals.resize(ruleset->rules.size());
    of_backend.snapshot.ruleset = std::move(ruleset);
    of_backend.snapshot.sets = std::make_shared<std::vector<AddressSet>>(sets_);
    return figures;
  }

 private:
  Ruleset ruleset_;
  std::vector<AddressSet> sets_;
};

inline AddressSet SetOf(const std::string& name, const std::vector<std::string>& prefixes) {
  AddressSet set;
  set.table = "filter";
  set.name = name;
  for (const std::string& prefix : prefixes)
    set.elements.push_back({RangeOf(Prefix::Parse(prefix).value()), {}, false});
  return set;
}

}  // namespace conntally::test
