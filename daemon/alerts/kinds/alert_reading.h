// The readings of one evaluation, in the units of the alerts' thresholds: judges write them, the engine reads them.
// Plain values; any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "daemon/alerts/kinds/alert.h"
#include "daemon/alerts/kinds/alert_rules.h"

namespace conntally {

// The reading of one subject. Quiet subjects (AlertRule::Quiet) may be omitted.
struct AlertReading {
  AlertSubject subject;
  double value = 0;
  std::string description;
  std::vector<AlertFact> evidence;
  Standing standing = Standing::kHost;
  // Its own tiers, if they depend on the subject; nullopt: those of its kind.
  std::optional<AlertRule> rule = {};
};

struct AlertReadings {
  std::vector<AlertReading> readings;               // each subject once
  std::array<bool, kAlertKinds> blind{};            // could not be evaluated
  std::array<std::string, kAlertKinds> degraded{};  // why the kind's figures may be wrong
};

}  // namespace conntally
