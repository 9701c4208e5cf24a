#include "daemon/rules/drop_rules.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<const RuleFigures> Figures(const std::shared_ptr<const Ruleset>& ruleset,
                                           std::vector<std::uint64_t> packets) {
  auto figures = std::make_shared<RuleFigures>();
  BackendFigures& backend = figures->backends[RuleBackend::kNftables];
  backend.snapshot.ruleset = ruleset;
  for (const std::uint64_t count : packets)
    backend.totals.push_back({.counter = RuleCounter{count, 0}, .first_handle = 0});
  return figures;
}

std::shared_ptr<const Ruleset> Rules(std::vector<Verdict> verdicts) {
  auto ruleset = std::make_shared<Ruleset>();
  for (const Verdict verdict : verdicts) {
    Rule& rule = ruleset->rules.emplace_back();
    rule.verdict = verdict;
    rule.text = "rule " + std::to_string(ruleset->rules.size());
  }
  return ruleset;
}

}  // namespace

TEST_CASE("drop rules are ranked by how fast they count now, then by how much they have") {
  DropRules drop_rules;
  const DropRules::Time start{};
  drop_rules.Add(start, nullptr);
  const auto ruleset = Rules({Verdict::kDrop, Verdict::kAccept, Verdict::kReject, Verdict::kDrop, Verdict::kDrop});
  drop_rules.Add(start, Figures(ruleset, {1'000'000, 5, 10, 0, 2'000'000}));
  drop_rules.Add(start + 5s, Figures(ruleset, {1'000'000, 5'000, 60, 0, 2'000'000}));
  const auto top = drop_rules.top();
  REQUIRE(top.rules.size() == 3);
  CHECK(top.rules[0].rule->text == "rule 3");
  CHECK(top.rules[0].packets_per_second == Approx(10));
  CHECK(top.rules[1].packets == 2'000'000);
  CHECK(top.rules[2].packets == 1'000'000);
}

TEST_CASE("rates of drop rules begin anew when the rules change, or a counter falls") {
  DropRules drop_rules;
  const auto old_rules = Rules({Verdict::kDrop}), new_rules = Rules({Verdict::kDrop});
  drop_rules.Add({}, Figures(old_rules, {10}));
  drop_rules.Add(DropRules::Time{} + 5s, Figures(new_rules, {500}));
  CHECK(drop_rules.top().rules.at(0).packets_per_second == 0);
  drop_rules.Add(DropRules::Time{} + 10s, Figures(new_rules, {400}));
  CHECK(drop_rules.top().rules.at(0).packets_per_second == 0);
}
