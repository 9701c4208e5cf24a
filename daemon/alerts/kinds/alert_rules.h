// When each alert fires and clears: thresholds from the configuration, and fixed ones where it has none. Plain values;
// any thread.
#pragma once

#include <array>
#include <chrono>
#include <optional>

#include "config/config.h"
#include "daemon/alerts/kinds/alert.h"

namespace conntally {

struct AlertTier {
  double threshold = 0;
  std::chrono::milliseconds for_at_least{0};
};

struct AlertRule {
  std::array<std::optional<AlertTier>, kSeverities> tiers;  // by Severity, at least one; nullopt: no such tier
  double clear_ratio = 0.9;
  bool worse_when_lower = false;

  bool Past(double value, double threshold) const { return worse_when_lower ? value <= threshold : value >= threshold; }
  bool Clear(double value, double threshold) const {
    return worse_when_lower ? value > threshold / clear_ratio : value < threshold * clear_ratio;
  }
  // For a less important subject: critical becomes warning, warning becomes info.
  AlertRule Milder() const;
  double least_threshold() const;  // of the lowest tier
  // Whether the value is neither past a threshold nor in the band in which a firing alert stays.
  bool Quiet(double value) const { return Clear(value, least_threshold()); }
  // The factor by which the value exceeds the lowest threshold; to compare subjects of one kind.
  double Badness(double value) const;
};

class AlertRules {
 public:
  explicit AlertRules(const Config::Alerts& config);
  const AlertRule& operator[](AlertKind kind) const { return rules_[static_cast<std::size_t>(kind)]; }

  // The window for the kernel's losses: how long such an alert stays after the last loss.
  static constexpr std::chrono::seconds kLossWindow{45};
  static constexpr double kInsertFailedMin = 10;  // in kLossWindow; DNS clients that ask twice at once make a few
  static constexpr std::chrono::seconds kDegradedFor{30};
  static constexpr double kPredictableUsage = 0.05;  // below it, a growing table means that the host has just started

 private:
  std::array<AlertRule, kAlertKinds> rules_;
};

}  // namespace conntally
