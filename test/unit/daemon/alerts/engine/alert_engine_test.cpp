#include <cmath>

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/engine/simulation.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

AlertTier LeastTier(const AlertRule& rule) {
  for (const auto& tier : rule.tiers) {
    if (tier) return *tier;
  }
  return {};
}

}  // namespace

TEST_CASE("an alert is pending for its `for`, then fires, and is resolved once it stays clear") {
  Simulation simulation;
  simulation.Look({{"a", 0.81}});
  CHECK(simulation.States() == Strings{"warning pending"});
  simulation.LookFor(9s, {{"a", 0.81}});
  CHECK(simulation.States() == Strings{"warning pending"});
  simulation.Look({{"a", 0.81}});
  CHECK(simulation.States() == Strings{"warning firing"});
  simulation.LookFor(4s, {});
  CHECK(simulation.States() == Strings{"warning firing"});
  simulation.Look({});
  CHECK(simulation.States().empty());
  REQUIRE(simulation.engine.alerts().size() == 1);
  CHECK(simulation.engine.alerts()[0].state == AlertState::kResolved);
  REQUIRE(simulation.transitions.size() == 3);
  CHECK(simulation.transitions[0].from == AlertState::kInactive);
  CHECK(simulation.transitions[1].from == AlertState::kPending);
  CHECK(simulation.transitions[2].from == AlertState::kFiring);
}

TEST_CASE("each kind fires at its threshold and not just below") {
  Simulation simulation;
  simulation.kind = static_cast<AlertKind>(GENERATE(range(0, static_cast<int>(kAlertKinds))));
  const AlertRules rules(simulation.config.alerts);
  const AlertRule& rule = rules[simulation.kind];
  const double threshold = rule.least_threshold();
  const auto patience = std::chrono::ceil<std::chrono::seconds>(LeastTier(rule).for_at_least) + 2s;
  INFO(NameOf(simulation.kind));
  simulation.LookFor(patience, {{"a", rule.worse_when_lower ? threshold * 1.001 : threshold * 0.999}});
  CHECK(simulation.engine.alerts().empty());
  simulation.LookFor(patience, {{"a", threshold}});
  CHECK(simulation.Firing() == 1);
}

TEST_CASE("a firing alert stays within the band of its hysteresis, and clears below") {
  Simulation simulation;
  simulation.LookFor(20s, {{"a", 0.85}});
  simulation.LookFor(60s, {{"a", 0.73}});  // 0.8 x 0.9 is 0.72
  CHECK(simulation.States() == Strings{"warning firing"});
  simulation.LookFor(6s, {{"a", 0.71}});
  CHECK(simulation.States().empty());
}

TEST_CASE("the full table's prediction is worse when it is lower, and clears above") {
  Simulation simulation;
  simulation.kind = AlertKind::kConntrackTableFillPredicted;
  simulation.LookFor(70s, {{"", 1700}});
  CHECK(simulation.States("") == Strings{"warning firing"});
  simulation.LookFor(70s, {{"", 1900}});
  CHECK(simulation.States("") == Strings{"warning firing"});
  simulation.LookFor(70s, {{"", 250}});
  CHECK(simulation.States("") == Strings{"critical firing"});
  simulation.LookFor(6s, {{"", 2100}});
  CHECK(simulation.States("").empty());
}

TEST_CASE("the critical tier inhibits the warning, which comes back when only it holds") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 0.85}});
  simulation.LookFor(15s, {{"a", 0.97}});
  CHECK(simulation.States() == Strings{"critical firing"});
  CHECK(simulation.engine.alerts().size() == 2);
  simulation.LookFor(29s, {{"a", 0.81}});
  CHECK(simulation.States() == Strings{"critical firing"});
  simulation.LookFor(2s, {{"a", 0.81}});
  CHECK(simulation.States() == Strings{"warning firing"});
}

TEST_CASE("the end of a critical trouble is not told as a lesser one") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 0.85}});
  simulation.LookFor(15s, {{"a", 0.97}});
  for (const double lessening : {0.93, 0.91, 0.88, 0.86, 0.84, 0.83, 0.82, 0.81, 0.8, 0.79, 0.6, 0.4, 0.2, 0.0}) {
    simulation.Look({{"a", lessening}});
    CHECK(simulation.States() == Strings{"critical firing"});
  }
  simulation.transitions.clear();
  while (simulation.Count(AlertState::kResolved) == 0) simulation.Look({{"a", 0.0}});
  CHECK(simulation.Count(AlertState::kResolved) == 2);  // at once
  CHECK(simulation.States().empty());
}

TEST_CASE("a warning ends no sooner than its critical tier, also where that fires again") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 0.97}});
  simulation.LookFor(40s, {{"a", 0.85}});
  simulation.LookFor(15s, {{"a", 0.97}});
  CHECK(simulation.States() == Strings{"critical firing"});
  simulation.transitions.clear();
  simulation.LookFor(59s, {{"a", 0.0}});
  CHECK(simulation.States() == Strings{"critical firing"});
  CHECK(simulation.Count(AlertState::kResolved) == 0);
  simulation.LookFor(3s, {{"a", 0.0}});
  CHECK(simulation.Count(AlertState::kResolved) == 2);
}

TEST_CASE("a warning that fires together with its critical tier is inhibited from the first") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 1.0}});
  for (const AlertTransition& transition : simulation.transitions) {
    if (transition.alert.severity == Severity::kWarning && transition.alert.state == AlertState::kFiring)
      CHECK(transition.alert.inhibited);
  }
  CHECK(simulation.Firing() == 1);
}

TEST_CASE("a source that leaves for a moment makes no second page") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 0.85}});
  for (int i = 0; i < 10; ++i) {
    simulation.LookFor(4s, {});
    simulation.Look({{"a", 0.85}});
  }
  CHECK(simulation.Count(AlertState::kFiring) == 1);
  CHECK(simulation.Count(AlertState::kResolved) == 0);
}

TEST_CASE("a pending alert outlives a missed reading or two, and no more") {
  Simulation simulation;
  simulation.LookFor(6s, {{"a", 0.85}});
  simulation.LookFor(2s, {});
  simulation.LookFor(5s, {{"a", 0.85}});
  CHECK(simulation.States() == Strings{"warning firing"});
  Simulation other;
  other.LookFor(6s, {{"a", 0.85}});
  other.LookFor(3s, {});
  CHECK(other.States().empty());
  other.LookFor(9s, {{"a", 0.85}});
  CHECK(other.States() == Strings{"warning pending"});
}

TEST_CASE("peaks that never last for the `for` do not fire, however often they come") {
  Simulation simulation;
  for (int i = 0; i < 20; ++i) {
    simulation.LookFor(2s, {{"a", 0.99}});
    simulation.Look({{"a", 0.1}});
  }
  CHECK(simulation.Count(AlertState::kFiring) == 0);
  simulation.LookFor(11s, {{"a", 0.99}});
  CHECK(simulation.Count(AlertState::kFiring) > 0);
}

TEST_CASE("time that was not looked at neither fires nor clears") {
  Simulation simulation;
  simulation.LookFor(3s, {{"a", 0.85}});
  simulation.Look({{"a", 0.85}}, 3600s);
  CHECK(simulation.States() == Strings{"warning pending"});
  simulation.LookFor(15s, {{"a", 0.85}});
  CHECK(simulation.States() == Strings{"warning firing"});
  simulation.Look({}, 3600s);
  simulation.Look({{"a", 0.85}}, -7s);  // a monotonic clock does not, but nothing breaks
  CHECK(simulation.Count(AlertState::kFiring) == 1);
}

TEST_CASE("the wall clock may be set: it is only told") {
  Simulation simulation;
  AlertReadings readings;
  readings.readings = {{{kLimit, "a", {}}, 0.9, "", {}}};
  const AlertRules rules(simulation.config.alerts);
  for (int i = 0; i < 20; ++i) {
    const auto wall = AlertTime(std::chrono::hours(i % 2 == 0 ? 500'000 : 100));
    simulation.engine.Update(rules, readings, {simulation.now + std::chrono::seconds(i), wall});
    CHECK(simulation.Firing() == (i >= 10 ? 1U : 0U));
  }
}

TEST_CASE("a kind that cannot be looked at stays as it is") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 0.85}});
  simulation.LookFor(5s, {{"a", 0.85}, {"b", 0.85}});
  simulation.blind = true;
  simulation.LookFor(600s, {});
  CHECK(simulation.States("a") == Strings{"warning firing"});
  CHECK(simulation.States("b") == Strings{"warning pending"});
  simulation.blind = false;
  simulation.LookFor(7s, {{"b", 0.85}});
  CHECK(simulation.States("a").empty());
  CHECK(simulation.States("b") == Strings{"warning firing"});
}

TEST_CASE("degraded data is told in the description") {
  Simulation simulation;
  simulation.degraded = "events were lost";
  simulation.LookFor(15s, {{"a", 0.85}});
  CHECK(simulation.engine.alerts()[0].description == "a is told of. The data is degraded: events were lost.");
}

TEST_CASE("other thresholds take over at once") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 0.85}});
  simulation.config.alerts.source_limit_usage = {0.97, 0.99, 10s};
  simulation.LookFor(6s, {{"a", 0.85}});
  CHECK(simulation.States().empty());
}

TEST_CASE("resolved alerts are remembered for a while, until they fire again") {
  Simulation simulation;
  simulation.LookFor(15s, {{"a", 0.9}});
  simulation.LookFor(10s, {});
  const auto of_a = [&] {
    const AlertList alerts = simulation.engine.alerts();
    return std::count_if(alerts.begin(), alerts.end(), [](const Alert& alert) { return alert.subject.source == "a"; });
  };
  CHECK(of_a() == 1);
  simulation.LookFor(15s, {{"a", 0.9}});
  CHECK(of_a() == 1);
  CHECK(simulation.States() == Strings{"warning firing"});
  simulation.LookFor(61s, {});
  CHECK(of_a() == 1);
  simulation.LookFor(901s, {});
  CHECK(simulation.engine.alerts().empty());
}

TEST_CASE("one that fires again soon has to stay away for longer") {
  Simulation simulation;
  for (int i = 0; i < 20; ++i) {
    simulation.LookFor(15s, {{"a", 0.9}});
    simulation.LookFor(10s, {});
  }
  CHECK(simulation.Count(AlertState::kFiring) == 2);
  simulation.LookFor(60s, {});
  CHECK(simulation.Count(AlertState::kResolved) == 2);
}
