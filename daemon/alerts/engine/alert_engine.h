// The alert engine: the state (inactive, pending, firing, resolved) of every subject and tier. An update's result
// depends only on the rules, the readings, the time and the previous state.
//
// A tier is pending from the first reading past its threshold, and fires once this has held for `for`. It clears when
// readings have been below threshold x clear_ratio, or absent, for kClearAfter; for kClearAgainAfter if it fired before
// within the last kResolvedKept, so that a source that comes and goes does not page twice. A critical tier waits for
// its warning to clear as well, for up to kWaitsForWarning more, so that the end of a trouble is not told as a lesser
// one; and a lower tier ends no sooner than the higher, since Alertmanager never notifies of an end that it inhibits.
// Only observed time counts: a pause of the daemon or of the machine counts as at most kStepMax. A kind that could not
// be evaluated (`blind`) keeps its state.
//
// The number of alerts is bounded, whatever traffic arrives: a few subjects of each kind and severity are named
// (ToldPlaces), the others make one alert (CollectiveAlerts). A higher tier inhibits the lower ones of its subject, and
// a cause inhibits its effects (alert_causes.h).
//
// The number of followed subjects is bounded: kSubjectsMax of a kind. A named subject keeps its place. Among the
// others, a subject that a stranger can forge gives way to one that he cannot forge, and to one that is kWorseBy worse.
//
// Across a restart (Save, Restore): pending and firing alerts continue. Within kGrace they do not clear for lack of a
// reading, since rates cannot be judged without a past.
//
// Threads: one owner.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/alerts/engine/collective_alerts.h"
#include "daemon/alerts/engine/told_places.h"
#include "daemon/alerts/kinds/alert.h"
#include "daemon/alerts/kinds/alert_reading.h"
#include "daemon/alerts/kinds/alert_rules.h"

namespace conntally {

struct AlertTransition {
  Alert alert;  // its present form
  AlertState from = AlertState::kInactive;
};

class AlertEngine {
 public:
  static constexpr std::size_t kSubjectsMax = 100;  // of each kind
  static constexpr std::size_t kResolvedMax = 200;
  static constexpr double kWorseBy = 2;
  static constexpr std::chrono::seconds kStepMax{5};
  static constexpr std::chrono::seconds kClearAfter{5};
  static constexpr std::chrono::seconds kClearAgainAfter{60};
  static constexpr std::chrono::seconds kGrace{60};
  static constexpr std::chrono::seconds kLapseMax{2};  // of a pending alert, or a tenth of its `for`: a reading or two
  static constexpr std::chrono::seconds kWaitsForWarning{25};
  static constexpr std::chrono::minutes kResolvedKept{15};
  static constexpr std::chrono::seconds kCauseLasts{60};  // after its end; above kLossWindow

  struct Moment {
    std::chrono::steady_clock::time_point monotonic;
    AlertTime wall;
  };

  std::vector<AlertTransition> Update(const AlertRules& rules, AlertReadings readings, Moment now);

  // The alerts at the last update: by subject and severity, then the collective ones; then those resolved in the last
  // kResolvedKept, the latest first.
  AlertList alerts() const;
  std::uint64_t turned_away() const { return turned_away_; }

  nlohmann::json Save() const;
  // Call it before the first update. It takes what it understands, within the same bounds, and ignores the rest.
  void Restore(const nlohmann::json& saved, Moment now);

 private:
  using Duration = std::chrono::steady_clock::duration;
  struct Tier {
    AlertState state = AlertState::kInactive;
    bool told = false;   // named, in this state
    bool fresh = false;  // changed in this update
    bool again = false;  // it fired and was resolved recently
    Duration held{0};    // observed time pending and not clear
    Duration lapsed{0};  // while pending: time clear
    Duration below{0};   // observed time clear
    Duration grace{0};   // restored: how much longer a missing reading does not count
    AlertTime since{};
    AlertTime fired{};
    double threshold = 0;
    std::chrono::milliseconds for_at_least{0};
    std::chrono::seconds clears_after() const { return again ? kClearAgainAfter : kClearAfter; }
    bool cleared() const { return below >= clears_after(); }
  };
  struct Tracked {
    AlertReading reading;  // the last one
    std::string degraded;
    std::array<Tier, kSeverities> tiers;
    Tier& tier(Severity severity) { return tiers[static_cast<std::size_t>(severity)]; }
    const Tier& tier(Severity severity) const { return tiers[static_cast<std::size_t>(severity)]; }
    bool active() const;
    bool told() const;
    bool WorseFires(Severity severity) const;  // than this one
  };
  struct Resolved {
    std::chrono::steady_clock::time_point when;
    Alert alert;
  };
  using TrackedMap = std::map<AlertSubject, Tracked>;

  // The worst first: a lower tier that fires at the same moment is inhibited from the start.
  static constexpr std::array kWorstFirst = {Severity::kCritical, Severity::kWarning, Severity::kInfo};

  static const AlertRule& RuleOf(const AlertRules& rules, const AlertReading& reading);
  std::map<AlertSubject, double> TakeReadings(const AlertRules& rules, AlertReadings& readings);
  void Admit(const AlertRules& rules, std::vector<AlertReading> newcomers);
  bool MakeRoom(const AlertRules& rules, const AlertReading& newcomer);
  TrackedMap::iterator FindVictim(const AlertRules& rules, const AlertReading& newcomer);
  void StepTier(Tracked& tracked, Severity severity, const AlertRule& rule, std::optional<double> value, Duration step);
  void Move(Tracked& tracked, Severity severity, AlertState to);
  void Tell(const AlertRules& rules, const AlertReadings& readings, Duration step);
  void Publish();
  void Resolve(Alert alert);
  bool ResolvedLately(const AlertSubject& subject, Severity severity) const;
  static Alert Describe(const Tracked& tracked, Severity severity);
  void RestoreTracked(const nlohmann::json& saved);

  TrackedMap tracked_;
  ToldPlaces places_;          // of firing alerts
  ToldPlaces pending_places_;  // of pending alerts
  CollectiveAlerts collectives_;
  AlertList published_;
  std::array<std::size_t, kAlertKinds> tracked_of_kind_{};
  std::set<AlertSubject> refused_;  // at the last update, so that each is counted once
  std::deque<Resolved> resolved_;
  std::vector<AlertTransition> transitions_;
  std::optional<std::chrono::steady_clock::time_point> last_update_;
  std::uint64_t turned_away_ = 0;
  Moment now_{};
};

}  // namespace conntally
