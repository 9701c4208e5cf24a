// A restart neither loses nor doubles what fires.
#include <nlohmann/json.hpp>

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/engine/simulation.h"

using namespace conntally;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

namespace {

// A new daemon that has what the old one saved, in the file's own notation.
Simulation Restarted(const Simulation& old, std::chrono::seconds away = 3s) {
  Simulation young;
  young.kind = old.kind;
  young.standing = old.standing;
  young.now = old.now + away;
  young.engine.Restore(Json::parse(old.engine.Save().dump()),
                       {young.now, AlertTime(young.now.time_since_epoch() / 1ms * 1ms)});
  return young;
}

AlertTime FiredOf(const Simulation& simulation, const std::string& source) {
  for (const Alert& alert : simulation.engine.alerts()) {
    if (alert.subject.source == source && alert.visible_firing()) return alert.fired;
  }
  return {};
}

}  // namespace

TEST_CASE("what fires goes on after a restart, since when it did, before and after there are readings") {
  Simulation old;
  old.LookFor(20s, {{"a", 0.9}});
  Simulation young = Restarted(old);
  CHECK(young.States() == Strings{"warning firing"});
  CHECK(FiredOf(young, "a") == FiredOf(old, "a"));
  young.LookFor(20s, {});
  young.LookFor(100s, {{"a", 0.9}});
  CHECK(young.transitions.empty());
  CHECK(FiredOf(young, "a") == FiredOf(old, "a"));
}

TEST_CASE("nothing clears for the restart alone, and what has ended does once there are data") {
  Simulation old;
  old.LookFor(20s, {{"a", 0.9}});
  Simulation young = Restarted(old);
  young.blind = true;
  young.LookFor(300s, {});
  CHECK(young.States() == Strings{"warning firing"});
  young.blind = false;
  young.LookFor(60s, {});
  CHECK(young.States() == Strings{"warning firing"});
  young.LookFor(10s, {});
  CHECK(young.States().empty());
  CHECK(young.Count(AlertState::kResolved) == 1);
}

TEST_CASE("once a restored one has been seen again it clears as any other does") {
  Simulation old;
  old.LookFor(20s, {{"a", 0.9}});
  Simulation young = Restarted(old);
  young.Look({{"a", 0.9}});
  young.LookFor(6s, {});
  CHECK(young.States().empty());
}

TEST_CASE("what is pending goes on to fire after a restart") {
  Simulation old;
  old.LookFor(8s, {{"a", 0.9}});
  Simulation young = Restarted(old);
  young.LookFor(5s, {{"a", 0.9}});
  CHECK(young.States() == Strings{"warning firing"});
}

TEST_CASE("those of many go on as one") {
  Simulation old;
  old.standing = Standing::kUnanswered;
  Simulation::Values values;
  for (int i = 0; i < 60; ++i) values["10.0.0." + std::to_string(i)] = 0.9;
  old.LookFor(20s, values);
  Simulation young = Restarted(old);
  CHECK(young.Firing() == old.Firing());
  young.LookFor(60s, values);
  CHECK(young.transitions.empty());
  CHECK(young.Firing() == old.Firing());
  young.LookFor(120s, {});
  CHECK(young.Firing() == 0);
  CHECK(young.Count(AlertState::kResolved) == old.Count(AlertState::kFiring));
}

TEST_CASE("a clock that was set back makes nothing begin in the future") {
  Simulation old;
  old.LookFor(20s, {{"a", 0.9}});
  Simulation young = Restarted(old, -500s);
  CHECK(FiredOf(young, "a") <= AlertTime(young.now.time_since_epoch() / 1ms * 1ms));
}

TEST_CASE("saved alerts that no daemon writes are left out") {
  for (
      const char* saved :
      {"null", "[]", "7", R"({"followed": 7, "many": {}})", R"({"followed": [7, null, [], {}], "many": [7, {}]})",
       R"({"followed": [{"alert": "Nonsense", "source": "", "rule": "", "standing": 1, "value": 1, "description": ""}]})",
       R"({"followed": [{"alert": "SourceScanning", "source": 7, "rule": "", "standing": 1, "value": 1, "description": ""}]})",
       R"({"followed": [{"alert": "SourceScanning", "source": "", "rule": "", "standing": 99, "value": 1, "description": "", "tiers": [{"severity": "warning", "firing": true}]}]})",
       R"({"followed": [{"alert": "SourceScanning", "source": "", "rule": "", "standing": 1, "value": 1e999, "description": "", "tiers": []}]})",
       R"({"followed": [{"alert": "SourceScanning", "source": "", "rule": "", "standing": 1, "value": 1, "description": "", "tiers": [{"severity": "fatal"}, 7]}]})"}) {
    INFO(saved);
    Simulation simulation;
    simulation.engine.Restore(Json::parse(saved, nullptr, false), {simulation.now, AlertTime{}});
    CHECK(simulation.engine.alerts().empty());
  }
}

TEST_CASE("a file that tells of too many is taken within the bounds") {
  Json followed = Json::array();
  for (int i = 0; i < 5000; ++i) {
    followed.push_back({{"alert", "SourceScanning"},
                        {"source", std::to_string(i)},
                        {"rule", ""},
                        {"standing", 2},
                        {"value", 1e300},
                        {"description", ""},
                        {"tiers", {{{"severity", "warning"}, {"firing", true}, {"told", true}, {"fired", 1e300}}}}});
  }
  Simulation simulation;
  simulation.engine.Restore({{"followed", followed}}, {simulation.now, AlertTime(1s)});
  CHECK(simulation.Firing() <= ToldPlaces::kMax);
  simulation.LookFor(3s, {});
  CHECK(simulation.Firing() <= ToldPlaces::kMax + 1);
}
