// An alert engine at work on values that a test gives it.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/alerts/engine/alert_engine.h"

namespace conntally {

using namespace std::chrono_literals;

inline constexpr AlertKind kLimit = AlertKind::kSourceNearConnectionLimit;  // 0.80, 0.95, for 10 s

// An engine that is told one value of each source a second.
struct Simulation {
  using Values = std::map<std::string, double>;

  void Look(const Values& values, std::chrono::milliseconds after = 1s) {
    AlertReadings readings;
    for (const auto& [source, value] : values) {
      const auto its = standings.find(source);
      readings.readings.push_back(
          {{kind, source, rule}, value, source + " is told of.", {}, its == standings.end() ? standing : its->second});
    }
    LookAt(std::move(readings), after);
  }
  void LookAt(AlertReadings readings, std::chrono::milliseconds after = 1s) {
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
  std::string rule;
  Standing standing = Standing::kHost;        // of those that have none of their own
  std::map<std::string, Standing> standings;  // by source
  Config config;
  AlertEngine engine;
  std::vector<AlertTransition> transitions;
  std::chrono::steady_clock::time_point now{1000s};
  bool blind = false;
  std::string degraded;
};

}  // namespace conntally
