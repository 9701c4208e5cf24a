// A firewall of one base chain, between two readings of its counters, and packets that it may have dropped.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/drops/drop_attribution.h"

namespace conntally {

using Kind = RuleCondition::Kind;

inline RuleCondition Number(Kind kind, std::uint32_t number) {
  RuleCondition condition;
  condition.kind = kind;
  condition.numbers = {{number, number}};
  return condition;
}
inline RuleCondition Port(std::uint32_t port) { return Number(Kind::kDestinationPort, port); }
inline RuleCondition Source(const char* first, const char* last) {
  RuleCondition condition;
  condition.kind = Kind::kSource;
  condition.addresses = {{IpAddress::Parse(first).value(), IpAddress::Parse(last).value()}};
  return condition;
}
inline RuleCondition In(const char* interface, bool negated) {
  RuleCondition condition;
  condition.kind = Kind::kInInterface;
  condition.interfaces = {interface};
  condition.negated = negated;
  return condition;
}

inline Rule Rule_(const char* text, Verdict verdict, std::vector<RuleCondition> conditions) {
  Rule rule;
  rule.family = RuleFamily::kInet;
  rule.table = "t";
  rule.text = text;
  rule.verdict = verdict;
  rule.has_counter = true;
  rule.fully_understood = true;
  rule.conditions = std::move(conditions);
  return rule;
}

// One base chain on a hook, then chains that can be jumped to; `rose` is by how much each rule's counter rose, nullopt:
// it has none.
struct Firewall {
  struct Part {
    Rule rule;
    std::optional<std::uint64_t> rose;
  };

  explicit Firewall(std::string hook, Verdict policy = Verdict::kAccept) {
    RuleChain base;
    base.base = true;
    base.hook = std::move(hook);
    base.policy = policy;
    Begin(std::move(base), "base");
    before.present = before.success = after.present = after.success = true;
  }

  void Begin(RuleChain chain, const char* name) {
    chain.family = RuleFamily::kInet;
    chain.table = "t";
    chain.name = name;
    chain.first_rule = ruleset.rules.size();
    ruleset.chains.push_back(std::move(chain));
    before.policies.emplace_back();
    after.policies.emplace_back();
  }
  void Add(Rule rule, std::optional<std::uint64_t> rose) {
    ruleset.rules.push_back(std::move(rule));
    ++ruleset.chains.back().rule_count;
    before.counters.push_back(rose ? std::optional(RuleCounter{100, 0}) : std::nullopt);
    after.counters.push_back(rose ? std::optional(RuleCounter{100 + *rose, 0}) : std::nullopt);
  }

  std::optional<std::string> Of(const DropKey& key, std::uint64_t packets = 5, bool changed = false) const {
    FirewallReading then, now;
    const auto shared = std::make_shared<const Ruleset>(ruleset);
    then.backends[RuleBackend::kNftables] = before;
    now.backends[RuleBackend::kNftables] = after;
    then.backends[RuleBackend::kNftables].ruleset = shared;
    now.backends[RuleBackend::kNftables].ruleset = changed ? std::make_shared<const Ruleset>(ruleset) : shared;
    return DropAttributor(then, now).Of(key, {"eth0", ""}, packets).rule;
  }

  Ruleset ruleset;
  BackendReading before;
  BackendReading after;
};

inline DropKey Key(const char* source, std::uint16_t port, std::uint8_t hooks = HookSet::kInput) {
  DropKey key;
  key.source = IpAddress::Parse(source).value();
  key.protocol = 6;
  key.destination_port = port;
  key.hooks = HookSet(hooks);
  key.in_interface = 2;
  return key;
}

}  // namespace conntally
