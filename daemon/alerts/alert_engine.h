// The alert engine: inactive, pending, firing, resolved, of every subject and tier. What comes of an update depends on
// the rules, the readings, the time and what was before, and on nothing else.
//
// A tier is pending from the first reading past its threshold, and fires once that has been seen to hold for `for`. It
// clears when readings have stayed below threshold x clear_ratio, or away, for kClearAfter: a source that leaves for a
// moment makes no second page. Only time that was looked at counts: a pause of the daemon, or of the machine, is at
// most kStepMax. A kind that could not be looked at (`blind`) stays as it is. While the critical tier of a subject
// fires, its warning is inhibited.
//
// Bounded: kSubjectsMax of a kind. Who holds a place keeps it, unless somebody comes who is kWorseBy worse; a pending
// one goes before a firing one, the least bad first.
//
// Threads: one owner.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/alerts/alert.h"
#include "daemon/alerts/alert_rules.h"

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
  static constexpr std::chrono::seconds kLapseMax{2};  // of a pending one, or a tenth of its `for`: a reading or two
  static constexpr std::chrono::minutes kResolvedKept{15};

  struct Moment {
    std::chrono::steady_clock::time_point monotonic;
    AlertTime wall;
  };

  std::vector<AlertTransition> Update(const AlertRules& rules, AlertReadings readings, Moment now);

  // By subject and severity; then what was resolved in the last kResolvedKept, the latest first.
  AlertList alerts() const;
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  using Duration = std::chrono::steady_clock::duration;
  struct Tier {
    AlertState state = AlertState::kInactive;
    Duration held{0};    // pending, looked at, and not clear
    Duration lapsed{0};  // while pending: how long it was clear
    Duration below{0};   // clear, and looked at
    AlertTime since{};
    AlertTime fired{};
    double threshold = 0;
    std::chrono::milliseconds for_at_least{0};
  };
  struct Tracked {
    AlertReading reading;  // the last there was
    std::string degraded;
    std::array<Tier, kSeverities> tiers;
    bool active() const { return is(AlertState::kPending) || is(AlertState::kFiring); }
    bool is(AlertState state) const {
      return std::any_of(tiers.begin(), tiers.end(), [&](const Tier& tier) { return tier.state == state; });
    }
  };
  struct Resolved {
    std::chrono::steady_clock::time_point when;
    Alert alert;
  };

  static const AlertRule& RuleOf(const AlertRules& rules, const AlertReading& reading);
  void Admit(const AlertRules& rules, std::vector<AlertReading> newcomers);
  std::map<AlertSubject, Tracked>::iterator FindVictim(const AlertRules& rules, const AlertReading& newcomer);
  void Step(Tracked& tracked, const AlertRule& rule, std::optional<double> value, Duration step, Moment now);
  void StepTier(Tracked& tracked, Severity severity, const AlertRule& rule, std::optional<double> value, Duration step,
                Moment now);
  void Move(Tracked& tracked, Severity severity, AlertState to, Moment now);
  static Alert Describe(const Tracked& tracked, Severity severity);

  std::map<AlertSubject, Tracked> tracked_;
  std::array<std::size_t, kAlertKinds> tracked_of_kind_{};
  std::set<AlertSubject> refused_;  // at the last update, so that each is counted once
  std::deque<Resolved> resolved_;
  std::vector<AlertTransition> transitions_;
  std::optional<std::chrono::steady_clock::time_point> last_update_;
  std::uint64_t turned_away_ = 0;
  Moment now_{};
};

}  // namespace conntally
