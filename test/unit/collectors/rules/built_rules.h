// Firewalls put together by hand, for tests of what goes through them: chains of one backend, each with its rules in
// order.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectors/rules/ruleset_finish.h"
#include "collectors/rules/walk/packet_walk.h"

namespace conntally::test {

using Kind = RuleCondition::Kind;

inline RuleCondition Numbers(Kind kind, std::vector<NumberRange> numbers, bool negated = false) {
  return {kind, negated, {}, std::move(numbers), {}, {}, false};
}
inline RuleCondition Tcp() { return Numbers(Kind::kProtocol, {{6, 6}}); }
inline RuleCondition ToPort(std::uint32_t port) { return Numbers(Kind::kDestinationPort, {{port, port}}); }
inline RuleCondition State(std::uint32_t bits) { return Numbers(Kind::kConntrackState, {{bits, bits}}); }
inline RuleCondition From(const char* first, const char* last, bool negated = false) {
  return {Kind::kSource, negated, {{*IpAddress::Parse(first), *IpAddress::Parse(last)}}, {}, {}, {}, false};
}
inline RuleCondition FromSet(const char* set) { return {Kind::kSource, false, {}, {}, {}, set, false}; }
inline RuleCondition In(const char* name, bool negated = false) {
  return {Kind::kInInterface, negated, {}, {}, {name}, {}, false};
}

struct BuiltRule {
  Rule rule;
  std::uint64_t packets = 0;  // that it has counted
  bool counted = true;        // it has a counter
  std::uint64_t rose = 0;     // and since the reading before
};

inline BuiltRule Does(Verdict verdict, std::vector<RuleCondition> conditions = {}, std::string text = {}) {
  BuiltRule built;
  built.rule.verdict = verdict;
  built.rule.conditions = std::move(conditions);
  built.rule.fully_understood = built.rule.has_counter = true;
  built.rule.text = std::move(text);
  return built;
}
inline BuiltRule Leads(Verdict verdict, const char* chain, std::vector<RuleCondition> conditions = {}) {
  BuiltRule built = Does(verdict, std::move(conditions));
  built.rule.jump_target = chain;
  return built;
}

class Firewall {
 public:
  Firewall& Base(std::string table, std::string name, std::string hook, std::int32_t priority, Verdict policy,
                 std::vector<BuiltRule> rules, RuleFamily family = RuleFamily::kIp, std::string type = "filter",
                 RuleBackend backend = RuleBackend::kNftables) {
    RuleChain chain;
    chain.base = true;
    chain.hook = std::move(hook), chain.priority = priority, chain.policy = policy, chain.type = std::move(type);
    return Add(std::move(chain), std::move(table), std::move(name), std::move(rules), family, backend);
  }
  // Of the chain that was added last.
  Firewall& Devices(std::vector<std::string> names, RuleBackend backend = RuleBackend::kNftables) {
    rulesets_[backend].chains.back().devices = std::move(names);
    return *this;
  }
  Firewall& Own(std::string table, std::string name, std::vector<BuiltRule> rules, RuleFamily family = RuleFamily::kIp,
                RuleBackend backend = RuleBackend::kNftables) {
    return Add({}, std::move(table), std::move(name), std::move(rules), family, backend);
  }
  Firewall& Set(std::string table, std::string name, std::vector<SetElement> elements,
                RuleFamily family = RuleFamily::kIp) {
    AddressSet& set = sets_.emplace_back();
    set.family = family;
    set.table = std::move(table);
    set.name = std::move(name);
    set.elements = std::move(elements);
    return *this;
  }

  FirewallReading Now() const { return Snapshot(true); }
  FirewallReading Before() const { return Snapshot(false); }

 private:
  struct Counts {
    std::uint64_t packets, rose;
    bool counted;
  };

  Firewall& Add(RuleChain chain, std::string table, std::string name, std::vector<BuiltRule> rules, RuleFamily family,
                RuleBackend backend) {
    Ruleset& ruleset = rulesets_[backend];
    ruleset.backend = backend;
    counts_[backend];
    chain.backend = backend, chain.family = family, chain.table = table, chain.name = name;
    if (ruleset.tables.empty() || ruleset.tables.back().name != table) ruleset.tables.push_back({family, table, 0, 0});
    for (BuiltRule& built : rules) {
      built.rule.backend = backend, built.rule.family = family, built.rule.table = table, built.rule.chain = name;
      if (backend == RuleBackend::kNftables) built.rule.handle = ruleset.rules.size() + 10;
      ruleset.rules.push_back(std::move(built.rule));
      counts_[backend].push_back({built.packets, built.rose, built.counted});
    }
    ruleset.chains.push_back(std::move(chain));
    return *this;
  }

  FirewallReading Snapshot(bool now) const {
    FirewallReading snapshot;
    for (const auto& [backend, built] : rulesets_) {
      Ruleset ruleset = built;
      FinishRuleset(ruleset);
      BackendReading& one = snapshot.backends[backend];
      one.present = one.success = true;
      for (const Counts& counts : counts_.at(backend))
        one.counters.push_back(counts.counted ? std::optional(RuleCounter{counts.packets - (now ? 0 : counts.rose), 0})
                                              : std::nullopt);
      one.policies.resize(ruleset.chains.size());
      one.sets = std::make_shared<std::vector<AddressSet>>(
          backend == RuleBackend::kNftables ? sets_ : std::vector<AddressSet>());
      one.ruleset = std::make_shared<Ruleset>(std::move(ruleset));
    }
    return snapshot;
  }

  std::map<RuleBackend, Ruleset> rulesets_;
  std::map<RuleBackend, std::vector<Counts>> counts_;
  std::vector<AddressSet> sets_;
};

// A SYN from 192.0.2.7 to this host, by eth0.
inline Packet Syn(std::uint16_t port) {
  Packet packet;
  packet.source = IpAddress::Parse("192.0.2.7");
  packet.destination = IpAddress::Parse("192.0.2.1");
  packet.protocol = 6;
  packet.source_port = kClientPorts;
  packet.destination_port = NumberRange{port, port};
  packet.tcp_flags = 2;
  packet.in = PacketInterface{2, "eth0"};
  packet.source_is_local = false;
  packet.destination_is_local = true;
  return packet;
}

}  // namespace conntally::test
