#include "daemon/alerts/alert_engine.h"

#include <cmath>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

constexpr AlertKind kLimit = AlertKind::kSourceNearConnectionLimit;  // 0.80, 0.95, for 10 s

// An engine that is told one value of each source a second.
struct Simulation {
  using Values = std::map<std::string, double>;

  void Look(const Values& values, std::chrono::milliseconds after = 1s) {
    AlertReadings readings;
    for (const auto& [source, value] : values)
      readings.readings.push_back({{kind, source, {}}, value, source + " is told of.", {}});
    readings.blind[static_cast<std::size_t>(kind)] = blind;
    readings.degraded[static_cast<std::size_t>(kind)] = degraded;
    now += after;
    for (AlertTransition& transition : engine.Update(AlertRules(config.alerts), std::move(readings),
                                                     {now, AlertTime(now.time_since_epoch() / 1ms * 1ms)})) {
      transitions.push_back(std::move(transition));
    }
  }
  void LookFor(std::chrono::seconds duration, const Values& values) {
    for (auto i = 0s; i < duration; ++i) Look(values);
  }

  // "warning pending", "critical firing" ... of the source, those inhibited and resolved left out.
  std::vector<std::string> States(const std::string& source = "a") const {
    std::vector<std::string> states;
    for (const Alert& alert : engine.alerts()) {
      if (alert.subject.source != source || alert.inhibited || alert.state == AlertState::kResolved) continue;
      states.push_back(std::string(NameOf(alert.severity)) + " " + NameOf(alert.state));
    }
    return states;
  }
  std::size_t Firing() const {
    const AlertList alerts = engine.alerts();
    return static_cast<std::size_t>(
        std::count_if(alerts.begin(), alerts.end(), [](const Alert& alert) { return alert.visible_firing(); }));
  }
  std::size_t Count(AlertState state) const {
    return static_cast<std::size_t>(std::count_if(transitions.begin(), transitions.end(),
                                                  [&](const auto& each) { return each.alert.state == state; }));
  }

  AlertKind kind = kLimit;
  Config config;
  AlertEngine engine;
  std::vector<AlertTransition> transitions;
  std::chrono::steady_clock::time_point now{1000s};
  bool blind = false;
  std::string degraded;
};

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
  simulation.LookFor(10s, {{"a", 0.81}});
  CHECK(simulation.States() == Strings{"warning firing"});
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

TEST_CASE(
    "of more subjects than there is room for the worst are kept, the same each time, and the rest is counted once") {
  Simulation::Values values;
  for (int i = 0; i < 500; ++i) values["source" + std::to_string(i)] = 0.8 + i * 0.0001;
  Simulation simulation, other;
  simulation.LookFor(20s, values);
  other.LookFor(20s, values);
  CHECK(simulation.Firing() == AlertEngine::kSubjectsMax);
  CHECK(simulation.engine.turned_away() == 500 - AlertEngine::kSubjectsMax);
  CHECK(simulation.States("source499") == Strings{"warning firing"});
  CHECK(simulation.States("source399").empty());
  const AlertList one = simulation.engine.alerts(), two = other.engine.alerts();
  REQUIRE(one.size() == two.size());
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i].subject == two[i].subject);

  // One that is much worse finds room; one that is a little worse does not.
  values["slightly"] = 0.9;
  values["much"] = 3;
  simulation.LookFor(20s, values);
  CHECK(simulation.States("slightly").empty());
  CHECK(simulation.States("much") == Strings{"critical firing"});
  CHECK(simulation.Firing() == AlertEngine::kSubjectsMax);
}

TEST_CASE("resolved alerts are remembered for a while, in bounded number, until they fire again") {
  Simulation simulation;
  for (int i = 0; i < 300; ++i) {
    simulation.config.alerts.source_limit_usage.for_at_least = 0s;
    simulation.Look({{"source" + std::to_string(i), 0.9}});
  }
  simulation.LookFor(10s, {});
  CHECK(simulation.engine.alerts().size() == AlertEngine::kResolvedMax);
  simulation.Look({{"source299", 0.9}});
  int of_299 = 0;
  for (const Alert& alert : simulation.engine.alerts()) of_299 += alert.subject.source == "source299";
  CHECK(of_299 == 1);
  simulation.LookFor(6s, {});
  simulation.LookFor(901s, {});
  CHECK(simulation.engine.alerts().empty());
}
