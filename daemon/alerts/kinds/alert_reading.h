// What a look says of the subjects of alerts, in the units of their thresholds: judges write it, the engine reads it.
// Plain values; any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "daemon/alerts/kinds/alert.h"
#include "daemon/alerts/kinds/alert_rules.h"

namespace conntally {

// What one look told of one subject. Those that are quiet (AlertRule::Quiet) need not be there.
struct AlertReading {
  AlertSubject subject;
  double value = 0;
  std::string description;
  std::vector<AlertFact> evidence;
  Standing standing = Standing::kHost;
  // Its own tiers, where they depend upon whom it is about; nullopt: those of its kind.
  std::optional<AlertRule> rule = {};
};

struct AlertReadings {
  std::vector<AlertReading> readings;               // each subject once
  std::array<bool, kAlertKinds> blind{};            // could not be looked at
  std::array<std::string, kAlertKinds> degraded{};  // why figures of the kind may be wrong
};

}  // namespace conntally
