#include "daemon/drops/rule_readings.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

struct Shown {
  std::string text;
  std::uint32_t port;
  std::uint64_t packets;
};

// What RuleCounters makes of rules that drop UDP to a port, one reading after another.
class Firewall {
 public:
  std::shared_ptr<const RuleFigures> Reload(const std::vector<Shown>& rules) {
    auto ruleset = std::make_shared<Ruleset>();
    ruleset->generation = ++generation_;
    RuleChain chain;
    chain.family = RuleFamily::kInet, chain.table = "t", chain.name = "c", chain.base = true, chain.hook = "input";
    chain.rule_count = rules.size();
    ruleset->chains.push_back(chain);
    for (const Shown& shown : rules) {
      Rule& rule = ruleset->rules.emplace_back();
      rule.family = RuleFamily::kInet, rule.table = "t", rule.chain = "c", rule.text = shown.text,
      rule.verdict = Verdict::kDrop;
      rule.has_counter = rule.fully_understood = true;
      RuleCondition& port = rule.conditions.emplace_back();
      port.kind = RuleCondition::Kind::kDestinationPort;
      port.numbers = {{shown.port, shown.port}};
    }
    ruleset_ = std::move(ruleset);
    return Count(rules);
  }
  std::shared_ptr<const RuleFigures> Count(const std::vector<Shown>& rules) {
    FirewallReading snapshot;
    BackendReading& read = snapshot.backends[RuleBackend::kNftables];
    read.present = read.success = true;
    read.ruleset = ruleset_;
    read.sets = std::make_shared<std::vector<AddressSet>>();
    for (const Shown& shown : rules) read.counters.emplace_back(RuleCounter{shown.packets, shown.packets});
    read.policies.resize(1);
    counters_.Update(std::move(snapshot), {});
    return counters_.figures();
  }

 private:
  RuleCounters counters_{100};
  std::shared_ptr<const Ruleset> ruleset_;
  std::uint32_t generation_ = 0;
};

DropKey ToPort(std::uint16_t port) {
  DropKey key;
  key.source = IpAddress::Parse("192.0.2.7").value();
  key.protocol = 17;
  key.destination_port = port;
  key.hooks = HookSet(HookSet::kInput);
  return key;
}

std::string Named(ReadingsAttributor& attributor, std::uint16_t port, std::uint64_t packets) {
  return attributor.Of(ToPort(port), {}, packets).rule.value_or("");
}

}  // namespace

TEST_CASE("a drop is named over a reload that keeps the rule's text") {
  Firewall firewall;
  const auto first = firewall.Reload({{"a", 1, 100}, {"b", 2, 5}});
  const auto last = firewall.Reload({{"a", 1, 3}, {"b", 2, 0}, {"new", 3, 4}});
  ReadingsAttributor attributor(*first, *last);
  CHECK(Named(attributor, 1, 3) == "a");
  CHECK(Named(attributor, 1, 4).empty());  // its counter did not rise by that
}

TEST_CASE("a drop is of the rule that came or went, where the others cannot have dropped it") {
  Firewall firewall;
  const auto without = firewall.Reload({{"a", 1, 100}});
  const auto with = firewall.Reload({{"ban", 3, 4}, {"a", 1, 100}});
  const auto lifted = firewall.Reload({{"a", 1, 100}});
  ReadingsAttributor came(*without, *with), went(*with, *lifted), neither(*without, *lifted);
  CHECK(Named(came, 3, 1) == "ban");
  CHECK(Named(went, 3, 1) == "ban");
  CHECK(Named(neither, 3, 1).empty());
  CHECK(Named(came, 4, 1).empty());
}

TEST_CASE("rules that drop are asked for whether they count or not") {
  FirewallReading reading;
  auto ruleset = std::make_shared<Ruleset>();
  ruleset->rules.emplace_back().verdict = GENERATE(Verdict::kDrop, Verdict::kReject, Verdict::kAccept);
  reading.backends[RuleBackend::kNftables].present = true;
  reading.backends[RuleBackend::kNftables].ruleset = ruleset;
  CHECK(HasDropRules(reading) == (ruleset->rules[0].verdict != Verdict::kAccept));
}

TEST_CASE("a drop is not named where the rules before a change tell another rule than those after it") {
  Firewall firewall;
  const auto first = firewall.Reload({{"a", 1, 1}, {"b", 2, 1}});
  const auto last = firewall.Reload({{"b", 1, 9}, {"a", 2, 9}});
  ReadingsAttributor attributor(*first, *last);
  CHECK(Named(attributor, 1, 2).empty());
  CHECK(Named(attributor, 2, 2).empty());
}

TEST_CASE("a drop is named between readings of the same rules") {
  Firewall firewall;
  const auto first = firewall.Reload({{"a", 1, 1}, {"b", 2, 1}});
  const auto last = firewall.Count({{"a", 1, 3}, {"b", 2, 1}});
  ReadingsAttributor attributor(*first, *last);
  CHECK(Named(attributor, 1, 2) == "a");
}
