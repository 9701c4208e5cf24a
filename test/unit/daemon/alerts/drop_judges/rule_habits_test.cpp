#include "daemon/alerts/drop_judges/rule_habits.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

const std::string kRule = "tcp dport 443 drop";

// A rule since the start, looked at each second.
struct Watched {
  RuleHabits habits;
  SteadyTime now{1h};
  bool unusual = false;

  Watched() {
    habits.Look(now);
    habits.AddFirstRule(kRule);
  }
  // Regulars of this weight are stopped and lose so many packets a second.
  void Run(std::chrono::seconds duration, double weight, double lost) {
    for (const SteadyTime until = now + duration; now < until; now += 1s) {
      habits.Look(now);
      habits.set_lost({{kRule, lost}});
      unusual = habits.IsUnusual(kRule, weight, lost);
      habits.Follow({{kRule, weight}}, [this](const std::string&) { return unusual; });
    }
  }
};

}  // namespace

TEST_CASE("a rule that stops none is unusual from a weight of three on, once its past is known") {
  Watched rule;
  rule.Run(60s, 0, 0);
  CHECK_FALSE(rule.unusual);
  rule.Run(1s, RuleHabits::kTold - 0.1, 5);
  CHECK_FALSE(rule.unusual);
  rule.Run(1s, RuleHabits::kTold, 5);
  CHECK(rule.unusual);
  CHECK(rule.habits.IsNew(kRule, 5));
}

TEST_CASE("sources that got through again excuse a rule for minutes, but however many they are, not for all") {
  Watched rule;
  rule.Run(100s, 0, 0);
  for (int source = 0; source < 1000; ++source) rule.habits.NoteRecovered(kRule, 1);
  rule.Run(1s, 15, 50);
  CHECK_FALSE(rule.unusual);
  CHECK_FALSE(rule.habits.IsNew(kRule, 50));
  rule.Run(1s, 25, 50);
  CHECK(rule.unusual);
  rule.Run(3 * RuleHabits::kRecoveredFor, 0, 0);
  rule.Run(1s, 15, 50);
  CHECK(rule.unusual);
}

TEST_CASE("regulars that lose no more by a rule than usual are no change at the rule, however many it stops") {
  Watched rule;
  rule.Run(300s, 0, 10);
  rule.Run(1s, 40, 10);
  CHECK_FALSE(rule.unusual);
  rule.Run(1s, 40, 30);
  CHECK(rule.unusual);
}

TEST_CASE("the usual work of rules is saved, and what is not readable changes nothing") {
  Watched rule;
  rule.Run(300s, 4, 10);
  Watched restarted;
  REQUIRE(restarted.habits.Restore(rule.habits.Save()));
  CHECK_FALSE(restarted.habits.Restore({{"stopped", 1}, {"lost", 2}}));
  restarted.Run(1s, 10, 30);
  CHECK_FALSE(restarted.unusual);
  restarted.Run(1s, 20, 30);
  CHECK(restarted.unusual);
}
