// What is told stays few, whoever sends what, and loses nobody whom a stranger cannot make up.
#include <random>
#include <set>

#include "daemon/alerts/kinds/alert_causes.h"
#include "test/support/catch.h"
#include "test/unit/daemon/alerts/engine/simulation.h"

using namespace conntally;

namespace {

std::vector<Alert> Firing(const AlertEngine& engine) {
  std::vector<Alert> firing;
  for (Alert& alert : engine.alerts()) {
    if (alert.visible_firing()) firing.push_back(std::move(alert));
  }
  return firing;
}

const Alert* Collective(const std::vector<Alert>& alerts) {
  const auto found = std::find_if(alerts.begin(), alerts.end(), [](const Alert& alert) { return alert.collective; });
  return found == alerts.end() ? nullptr : &*found;
}

std::size_t FiringOf(const Simulation& simulation, const std::string& source) {
  return static_cast<std::size_t>(
      std::count_if(simulation.transitions.begin(), simulation.transitions.end(), [&](const AlertTransition& each) {
        return each.alert.state == AlertState::kFiring && each.alert.subject.source == source;
      }));
}

std::string Address(std::uint32_t number) { return "10." + std::to_string(number); }

}  // namespace

TEST_CASE(
    "the few worst are told by name, the rest as one alert with their number, the first of them, and where all are") {
  Simulation simulation;
  Simulation::Values values;
  for (int i = 0; i < 50; ++i) values["source" + std::to_string(i)] = 0.8 + i * 0.0001;
  simulation.rule = "tcp dport 22 ct count over 5 drop";
  simulation.LookFor(20s, values);
  const std::vector<Alert> firing = Firing(simulation.engine);
  REQUIRE(firing.size() == ToldPlaces::kPlaces + 1);
  for (int i = 45; i < 50; ++i)
    CHECK(simulation.States("source" + std::to_string(i)) == std::vector<std::string>{"warning firing"});
  const Alert* rest = Collective(firing);
  REQUIRE(rest != nullptr);
  CHECK(rest->subjects == 45);
  CHECK(rest->subject.source.empty());
  CHECK(rest->subject.rule == simulation.rule);
  CHECK(rest->description.find(
            "45 sources, 45 of them proven, besides those that are told by name: source44, source43, source42 ...") ==
        0);
  CHECK(rest->description.find("All: /api/v1/sources?sort=connections.") != std::string::npos);
  CHECK(simulation.Count(AlertState::kFiring) == 6);
  simulation.LookFor(40s, {});
  CHECK(Firing(simulation.engine).empty());
  CHECK(simulation.Count(AlertState::kResolved) == 6);
}

TEST_CASE("rules that are not told by name are told as others, not as a rule that is not known") {
  Simulation simulation;
  simulation.kind = AlertKind::kDropRuleSpike;
  AlertReadings readings;
  for (int i = 0; i < 20; ++i)
    readings.readings.push_back({{simulation.kind, {}, "rule " + std::to_string(i)}, 50, "", {}});
  for (int i = 0; i < 70; ++i) simulation.LookAt(readings);
  const std::vector<Alert> firing = Firing(simulation.engine);
  REQUIRE(Collective(firing) != nullptr);
  CHECK(Collective(firing)->subject.rule == "(others)");
  CHECK(Collective(firing)->description.find("15 rules, besides") == 0);
}

TEST_CASE("a proven source is told by name, however many forged ones were there before it, and are worse") {
  Simulation simulation;
  simulation.standing = Standing::kUnanswered;
  simulation.standings["offender"] = Standing::kProven;
  Simulation::Values forged;
  for (std::uint32_t i = 0; i < 1000; ++i) forged[Address(i)] = 5;
  simulation.LookFor(60s, forged);
  CHECK(Firing(simulation.engine).size() <= ToldPlaces::kMax);
  forged["offender"] = 0.85;
  simulation.LookFor(15s, forged);
  CHECK(simulation.States("offender") == std::vector<std::string>{"warning firing"});
  simulation.LookFor(60s, forged);
  CHECK(FiringOf(simulation, "offender") == 1);
}

TEST_CASE("100,000 forged sources that come and go make few transitions, and the real offender fires once") {
  Simulation simulation;
  simulation.standing = Standing::kUnanswered;
  simulation.standings["offender"] = Standing::kProven;
  // 200 at a time, as many as evidence holds, each for longer than the `for`; 500 turns.
  for (std::uint32_t turn = 0; turn < 500; ++turn) {
    Simulation::Values values;
    for (std::uint32_t i = 0; i < 200; ++i) values[Address(200 * turn + i)] = 0.97 + 0.001 * turn;
    if (turn > 2) values["offender"] = 0.9;
    simulation.LookFor(12s, values);
    CHECK(Firing(simulation.engine).size() <= 2 * ToldPlaces::kMax + 2);
  }
  CHECK(FiringOf(simulation, "offender") == 1);
  CHECK(simulation.Count(AlertState::kResolved) <= simulation.Count(AlertState::kFiring));
  // Over more than an hour of it: 3 places that are handed out again after ten minutes, and at once a worse one or two.
  const auto hours = std::chrono::duration<double, std::ratio<3600>>(500 * 12s).count();
  CHECK(static_cast<double>(simulation.Count(AlertState::kFiring)) < 10 + 30 * hours);
  CHECK(static_cast<double>(simulation.transitions.size()) < 30 + 90 * hours);
}

TEST_CASE("100,000 forged sources at once, for minutes, are told in at most twenty transitions that page") {
  Simulation simulation;
  simulation.standing = Standing::kUnanswered;
  simulation.standings["offender"] = Standing::kProven;
  AlertReadings readings;
  for (std::uint32_t i = 0; i < 100'000; ++i)
    readings.readings.push_back({{kLimit, Address(i), {}}, 0.85, "", {}, Standing::kUnanswered});
  readings.readings.push_back({{kLimit, "offender", {}}, 0.85, "", {}, Standing::kProven});
  for (int i = 0; i < 20; ++i) simulation.LookAt(readings);
  simulation.LookFor(100s, {});
  CHECK(FiringOf(simulation, "offender") == 1);
  CHECK(simulation.Count(AlertState::kFiring) + simulation.Count(AlertState::kResolved) <= 20);
  CHECK(simulation.engine.turned_away() == 100'001 - AlertEngine::kSubjectsMax);
}

TEST_CASE("whatever the readings: bounds hold, what fires ends once, and a steady offender fires once and stays") {
  const auto seed = static_cast<std::uint32_t>(GENERATE(range(0, 6)));
  std::mt19937 random(seed);
  const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
  INFO("seed " << seed);
  Simulation simulation;
  simulation.standings["offender"] = Standing::kRegular;
  simulation.standing = Standing::kAnswered;
  const std::uint32_t crowd = 1 + below(400);
  for (int look = 0; look < 900; ++look) {
    Simulation::Values values;
    const std::uint32_t present = below(crowd);
    for (std::uint32_t i = 0; i < present; ++i) values[Address(below(crowd * 4))] = 0.5 + below(1000) / 200.0;
    if (look >= 100) values["offender"] = 0.9;
    simulation.blind = below(10) == 0;
    simulation.Look(values);
    std::map<Severity, std::size_t> told;
    for (const Alert& alert : simulation.engine.alerts()) {
      if (alert.state == AlertState::kFiring) ++told[alert.severity];
    }
    for (const auto& [severity, count] : told) CHECK(count <= ToldPlaces::kMax + 1);
    if (look > 120) CHECK(simulation.States("offender") == std::vector<std::string>{"warning firing"});
  }
  CHECK(FiringOf(simulation, "offender") == 1);
  std::set<std::pair<AlertSubject, Severity>> open;
  for (const AlertTransition& each : simulation.transitions) {
    const std::pair key{each.alert.subject, each.alert.severity};
    if (each.alert.state == AlertState::kFiring) CHECK(open.insert(key).second);
    if (each.alert.state == AlertState::kResolved) CHECK(open.erase(key) == 1);
  }
  std::set<std::pair<AlertSubject, Severity>> still;
  for (const Alert& alert : simulation.engine.alerts()) {
    if (alert.state == AlertState::kFiring) still.emplace(alert.subject, alert.severity);
  }
  CHECK(open == still);
}

TEST_CASE("a fact of a stranger and the warning of a regular do not take each other's places") {
  Simulation simulation;
  simulation.kind = AlertKind::kSourceMatchesDropRule;
  AlertReadings readings;
  const AlertRule fact{{AlertTier{1, 10s}, std::nullopt, std::nullopt}};
  for (std::uint32_t i = 0; i < 300; ++i)
    readings.readings.push_back({{simulation.kind, Address(i), "drop"}, 50, "", {}, Standing::kUnanswered, fact});
  for (std::uint32_t i = 0; i < 3; ++i)
    readings.readings.push_back(
        {{simulation.kind, "regular" + std::to_string(i), "drop"}, 2, "", {}, Standing::kRegular});
  for (int i = 0; i < 60; ++i) simulation.LookAt(readings);
  std::size_t facts = 0, warnings = 0;
  for (const Alert& alert : Firing(simulation.engine)) {
    facts += alert.severity == Severity::kInfo;
    warnings += alert.severity == Severity::kWarning;
    CHECK(alert.alarms() == (alert.severity == Severity::kWarning));
  }
  CHECK(warnings == 3);
  CHECK(facts <= ToldPlaces::kPlacesOfForgeable + ToldPlaces::kForMuchWorse + 1);
}

TEST_CASE("what follows from a full table is muted while it is full and for a minute, and told after") {
  Simulation simulation;
  const auto look = [&](bool full) {
    AlertReadings readings;
    if (full) readings.readings.push_back({{AlertKind::kConntrackTableFull, {}, {}}, 5, "", {}});
    readings.readings.push_back({{AlertKind::kConntrackTableNearlyFull, {}, {}}, 0.99, "", {}});
    readings.readings.push_back({{AlertKind::kConnectionsUnanswered, {}, {}}, 0.9, "", {}});
    readings.readings.push_back({{AlertKind::kSourceNearTableLimit, "a", {}}, 0.9, "", {}});
    for (int i = 0; i < 40; ++i) simulation.LookAt(readings);
    std::set<std::string> told;
    for (const Alert& alert : Firing(simulation.engine)) told.insert(NameOf(alert.subject.kind));
    return told;
  };
  CHECK(look(true) == std::set<std::string>{"ConntrackTableFull", "SourceNearTableLimit"});
  for (const Alert& alert : simulation.engine.alerts()) {
    if (alert.subject.kind == AlertKind::kConnectionsUnanswered && alert.severity == Severity::kCritical)
      CHECK(alert.cause == AlertKind::kConntrackTableFull);
  }
  CHECK(look(false) == std::set<std::string>{"SourceNearTableLimit"});
  CHECK(look(false) ==
        std::set<std::string>{"ConntrackTableNearlyFull", "ConnectionsUnanswered", "SourceNearTableLimit"});
}

TEST_CASE("a cause mutes nothing that is worse than itself, and of another rule nothing") {
  const auto alert = [](AlertKind kind, Severity severity, const char* rule, bool collective = false) {
    Alert made;
    made.subject = {kind, {}, rule};
    made.severity = severity;
    made.state = AlertState::kFiring;
    made.collective = collective;
    return made;
  };
  const Alert cause = alert(AlertKind::kRegularSourcesDropped, Severity::kWarning, "a");
  CHECK(FollowsFrom(alert(AlertKind::kDropRuleSpike, Severity::kWarning, "a"), cause));
  CHECK_FALSE(FollowsFrom(alert(AlertKind::kDropRuleSpike, Severity::kCritical, "a"), cause));
  CHECK_FALSE(FollowsFrom(alert(AlertKind::kDropRuleSpike, Severity::kWarning, "b"), cause));
  CHECK(FollowsFrom(alert(AlertKind::kSourceMatchesDropRule, Severity::kWarning, "a", true), cause));
  CHECK_FALSE(FollowsFrom(alert(AlertKind::kSourceMatchesDropRule, Severity::kWarning, "a"), cause));
}
