#include "daemon/rules/matching_rules.h"

#include <nlohmann/json.hpp>

#include "test/support/catch.h"
#include "test/unit/daemon/limits/written_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

// Texts; with '*' where everybody is covered, '?' where it is not certain, '+' where more is asked.
std::vector<std::string> Matching(const WrittenRules& rules, const std::string& source) {
  const auto figures = rules.Figures();
  std::vector<std::string> texts;
  for (const MatchingRule& matching : RulesThatDrop(*figures, Address(source))) {
    texts.push_back(matching.rule->text + (matching.any_source ? "*" : "") + (matching.certain ? "" : "?") +
                    (matching.other_conditions ? "+" : ""));
  }
  return texts;
}
WrittenRules Input(std::vector<Rule> rules) { return WrittenRules().Chain("INPUT", "input", std::move(rules)); }

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("drop and reject rules match by prefix, range and negation") {
  const WrittenRules rules =
      Input({Rule_("everybody", Verdict::kDrop, {Port(23)}), Rule_("net", Verdict::kDrop, {From("10.0.0.0/8")}),
             Rule_("not net", Verdict::kReject, {From("10.0.0.0/8", true)}),
             Rule_("let in", Verdict::kAccept, {From("10.0.0.0/8")}),
             Rule_("net, port", Verdict::kReject, {From("10.1.0.0/16"), Port(80)})});
  CHECK(Matching(rules, "10.1.2.3") == Texts{"net", "net, port+", "everybody*+"});
  CHECK(Matching(rules, "192.0.2.1") == Texts{"not net", "everybody*+"});
  CHECK(Matching(rules, "2001:db8::1").empty());
}

TEST_CASE("elements of sets cover, but for exceptions, and of a set that is cut nobody knows") {
  AddressSet blocked = SetOf("blocked", {"10.0.0.0/24"});
  blocked.elements.push_back({RangeOf(Prefix::Parse("10.0.0.7").value()), {}, true});
  AddressSet cut = SetOf("cut", {"10.0.0.1"});
  cut.complete = false;
  WrittenRules rules =
      Input({Rule_("blocked", Verdict::kDrop, {FromSet("blocked")}), Rule_("cut", Verdict::kDrop, {FromSet("cut")})});
  rules.Set(blocked).Set(cut);
  CHECK(Matching(rules, "10.0.0.1") == Texts{"blocked", "cut"});
  CHECK(Matching(rules, "10.0.0.7") == Texts{"cut?"});
  CHECK(Matching(rules, "10.0.0.8") == Texts{"blocked", "cut?"});
}

TEST_CASE("the ways into a chain decide whom its rules cover") {
  WrittenRules rules = Input({Rule_("from one", Verdict::kJump, {From("10.0.0.1")}, "judge"),
                              Rule_("to ssh", Verdict::kJump, {From("10.0.0.2"), Port(22)}, "judge")});
  rules.Chain("judge", "", {Rule_("let in", Verdict::kAccept, {Port(80)}), Rule_("drop", Verdict::kDrop)});
  rules.Chain("unused", "", {Rule_("never", Verdict::kDrop)});
  CHECK(Matching(rules, "10.0.0.1") == Texts{"drop"});
  CHECK(Matching(rules, "10.0.0.2") == Texts{"drop+"});
  CHECK(Matching(rules, "10.0.0.3").empty());
}

TEST_CASE("verdict maps cover by those of their elements that drop") {
  Rule by_source = Rule_("by source", Verdict::kMap);
  by_source.map_key = Kind::kSource;
  by_source.map = {Mapped(Verdict::kDrop, From("10.0.0.1")), Mapped(Verdict::kAccept, From("10.0.0.2"))};
  by_source.map_understood = true;
  Rule by_port = Rule_("by port", Verdict::kMap);
  by_port.map_key = Kind::kDestinationPort;
  by_port.map = {Mapped(Verdict::kDrop, Port(23))};
  by_port.map_understood = true;
  const WrittenRules rules = Input({by_source, by_port});
  CHECK(Matching(rules, "10.0.0.1") == Texts{"by source", "by port*+"});
  CHECK(Matching(rules, "10.0.0.2") == Texts{"by port*+"});
}

TEST_CASE("matching rules are told in JSON") {
  const auto figures = Input({Rule_("net", Verdict::kDrop, {From("10.0.0.0/8")})}).Figures();
  const auto json = nlohmann::json::parse(MatchingRulesJson(RulesThatDrop(*figures, Address("10.0.0.1"))));
  CHECK(
      json ==
      nlohmann::json::parse(
          R"([{"backend": "iptables-legacy", "family": "ip", "table": "filter", "chain": "INPUT", "rule": "net", "verdict": "drop",
                         "handle": null, "counter": null, "any_source": false, "certain": true, "other_conditions": false}])"));
}
