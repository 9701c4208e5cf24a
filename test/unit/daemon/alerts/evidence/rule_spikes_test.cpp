#include "daemon/alerts/evidence/rule_spikes.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

struct FakeRule {
  std::string text;
  std::uint64_t packets = 0;
  Verdict verdict = Verdict::kDrop;
  std::string chain = "input";
};

RuleFigures Figures(const std::vector<FakeRule>& fakes) {
  auto ruleset = std::make_shared<Ruleset>();
  BackendFigures backend;
  for (const FakeRule& fake : fakes) {
    Rule rule;
    rule.text = fake.text;
    rule.verdict = fake.verdict;
    rule.chain = fake.chain;
    ruleset->rules.push_back(rule);
    RuleTotal total;
    total.counter = RuleCounter{fake.packets, 0};
    backend.totals.push_back(total);
  }
  backend.snapshot.ruleset = ruleset;
  RuleFigures figures;
  figures.backends.emplace(RuleBackend::kNftables, std::move(backend));
  return figures;
}

// One rule that is read each five seconds, at rates by the second.
struct Followed {
  void Run(int seconds, double rate) {
    for (int i = 0; i < seconds; ++i, ++second) {
      packets += rate;
      if (second % 5 == 0)
        spikes.Add(Figures({{"drop", static_cast<std::uint64_t>(packets), verdict}}),
                   SteadyTime{} + std::chrono::seconds(second));
    }
  }
  double times() const {
    const auto found = spikes.Spikes();
    return found.empty() ? -1 : found[0].times;
  }
  Verdict verdict = Verdict::kDrop;
  RuleSpikes spikes;
  double packets = 1'000'000;
  int second = 0;
};

}  // namespace

TEST_CASE("a rule that drops ten times as much as it did spikes, an even one does not") {
  Followed rule;
  rule.Run(600, 20);
  CHECK(rule.times() == Approx(1));
  rule.Run(30, 200);
  CHECK(rule.times() == Approx(10));
  rule.Run(30, 20);
  CHECK(rule.times() == Approx(1));
}

TEST_CASE("a quiet rule's first packets are no spike") {
  Followed rule;
  rule.Run(600, 0);
  rule.Run(30, 5);
  CHECK(rule.times() < 10);
  rule.Run(30, 50);
  CHECK(rule.times() == Approx(50));
}

TEST_CASE("a rule without a past has none to be set against") {
  Followed rule;
  rule.Run(60, 1000);
  CHECK(rule.times() == -1);
  rule.Run(60, 1000);
  CHECK(rule.times() == Approx(1));
}

TEST_CASE("bursts that are over do not raise the past, and a spike stays one for minutes") {
  Followed rule;
  for (int i = 0; i < 5; ++i) {
    rule.Run(270, 2);
    rule.Run(30, 100);
  }
  rule.Run(60, 2);
  rule.Run(300, 40);
  CHECK(rule.times() > 10);
}

TEST_CASE("rules that accept, count or log do not spike") {
  Followed rule;
  rule.verdict = GENERATE(Verdict::kAccept, Verdict::kLog, Verdict::kContinue);
  rule.Run(200, 0);
  rule.Run(60, 1000);
  CHECK(rule.times() == -1);
}

TEST_CASE("one more rule with a text that is there already, and a large counter, is no spike") {
  RuleSpikes spikes;
  int second = 0;
  std::uint64_t packets = 100;
  for (; second < 300; second += 5)
    spikes.Add(Figures({{"drop", packets += 10}}), SteadyTime{} + std::chrono::seconds(second));
  for (int i = 0; i < 20; ++i, second += 5) {
    spikes.Add(Figures({{"drop", packets += 10}, {"drop", 90'000'000, Verdict::kDrop, "forward"}}),
               SteadyTime{} + std::chrono::seconds(second));
    REQUIRE(spikes.Spikes().size() == 1);
    CHECK(spikes.Spikes()[0].times == Approx(1));
  }
}

TEST_CASE("a rule that is gone does not spike, and one that comes back keeps its past") {
  Followed rule;
  rule.Run(300, 10);
  rule.Run(20, 1000);
  rule.spikes.Add(Figures({}), SteadyTime{} + std::chrono::seconds(rule.second));
  CHECK(rule.spikes.Spikes().empty());
  rule.second += 5;
  rule.Run(60, 10);
  CHECK(rule.times() == Approx(1).epsilon(0.1));
}

// Readings of many rules, five seconds apart.
struct Many {
  explicit Many(std::size_t rules) {
    for (std::size_t i = 0; i < rules; ++i) fakes.push_back({"drop " + std::to_string(i), 7});
  }
  void Read(int readings, std::size_t first, std::size_t end, std::uint64_t rise) {
    for (int i = 0; i < readings; ++i, second += 5) {
      for (std::size_t rule = first; rule < end; ++rule) fakes[rule].packets += rise;
      spikes.Add(Figures(fakes), SteadyTime{} + std::chrono::seconds(second));
    }
  }
  double times(std::size_t rule) const {
    for (const auto& spike : spikes.Spikes()) {
      if (spike.rule == fakes[rule].text) return spike.times;
    }
    return -1;
  }
  std::vector<FakeRule> fakes;
  RuleSpikes spikes;
  int second = 0;
};

TEST_CASE("rules that count nothing take no room, however many they are and however often they are read") {
  Many many(RuleSpikes::kRulesMax + 500);
  many.Read(40, 0, 0, 0);
  CHECK(many.spikes.rules_turned_away() == 0);
  many.Read(8, many.fakes.size() - 1, many.fakes.size(), 500);
  CHECK(many.times(many.fakes.size() - 1) == Approx(100));
  CHECK(many.spikes.rules_turned_away() == 0);
}

TEST_CASE("a rule that counts pushes out the one that has been quiet longest, which comes back as quiet since") {
  Many many(RuleSpikes::kRulesMax + 1);
  many.Read(40, 0, 1, 50);
  many.Read(1, 1, RuleSpikes::kRulesMax, 1);
  CHECK(many.times(0) == Approx(0.75));
  many.Read(40, RuleSpikes::kRulesMax, RuleSpikes::kRulesMax + 1, 500);
  CHECK(many.spikes.rules_turned_away() == 1);
  CHECK(many.times(0) == -1);
  CHECK(many.times(RuleSpikes::kRulesMax) >= 1);
  many.Read(8, 0, 1, 500);
  CHECK(many.times(0) == Approx(100));
}

TEST_CASE("a rule that finds no room since all others count as well is counted once") {
  Many many(RuleSpikes::kRulesMax + 5);
  many.Read(1, 0, 0, 0);
  many.Read(100, 0, many.fakes.size(), 3);
  CHECK(many.spikes.rules_turned_away() == 5);
}

TEST_CASE("a quiet rule's past outlives a reload") {
  Followed rule;
  rule.Run(600, 0);
  rule.spikes.Add(Figures({{"accept", 1, Verdict::kAccept}, {"drop", static_cast<std::uint64_t>(rule.packets)}}),
                  SteadyTime{} + std::chrono::seconds(rule.second));
  ++rule.second;
  rule.Run(30, 50);
  CHECK(rule.times() == Approx(50).epsilon(0.1));
}
