// The alert engine: inactive, pending, firing, resolved, of every subject and tier. What comes of an update depends on
// the rules, the readings, the time and what was before, and on nothing else.
//
// A tier is pending from the first reading past its threshold, and fires once that has been seen to hold for `for`. It
// clears when readings have stayed below threshold x clear_ratio, or away, for kClearAfter, and for kClearAgainAfter if
// it fired before in the last kResolvedKept: a source that comes and goes makes no second page. Only time that was
// looked at counts: a pause of the daemon, or of the machine, is at most kStepMax. A kind that could not be looked at
// (`blind`) stays as it is.
//
// What is told is bounded, whoever sends what: a few subjects of each kind and severity by name (ToldPlaces), the rest
// as one (CollectiveAlerts). A worse tier inhibits the lesser ones of its subject, and a cause what follows from it
// (alert_causes.h).
//
// What is followed is bounded: kSubjectsMax of a kind. Who is told keeps its place. Among the others, those that a
// stranger can make up give way to those that he cannot, and to whom is kWorseBy worse.
//
// Across a restart (Save, Restore): what was pending or fired goes on, and does not clear for want of a reading within
// kGrace of looks, since rates need a past before they can be judged again.
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
  Alert alert;  // as it is now
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
  static constexpr std::chrono::seconds kLapseMax{2};  // of a pending one, or a tenth of its `for`: a reading or two
  static constexpr std::chrono::minutes kResolvedKept{15};
  static constexpr std::chrono::seconds kCauseLasts{60};  // after its end; above AlertRules::kLossWindow

  struct Moment {
    std::chrono::steady_clock::time_point monotonic;
    AlertTime wall;
  };

  std::vector<AlertTransition> Update(const AlertRules& rules, AlertReadings readings, Moment now);

  // What is told, as of the last update: by subject and severity, then those of many; then what was resolved in the
  // last kResolvedKept, the latest first.
  AlertList alerts() const;
  std::uint64_t turned_away() const { return turned_away_; }

  nlohmann::json Save() const;
  // Before the first update. Takes what it understands, and within the same bounds; the rest is left out.
  void Restore(const nlohmann::json& saved, Moment now);

 private:
  using Duration = std::chrono::steady_clock::duration;
  struct Tier {
    AlertState state = AlertState::kInactive;
    bool told = false;   // by name, in this state
    bool fresh = false;  // since this update
    bool again = false;  // it fired, and was resolved, a short while ago
    Duration held{0};    // pending, looked at, and not clear
    Duration lapsed{0};  // while pending: how long it was clear
    Duration below{0};   // clear, and looked at
    Duration grace{0};   // restored: until when no reading past it is no news
    AlertTime since{};
    AlertTime fired{};
    double threshold = 0;
    std::chrono::milliseconds for_at_least{0};
  };
  struct Tracked {
    AlertReading reading;  // the last there was
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

  // The worst first: a lesser one that fires at the same moment is inhibited from the start.
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
  ToldPlaces places_;          // of what fires
  ToldPlaces pending_places_;  // of what is pending
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
