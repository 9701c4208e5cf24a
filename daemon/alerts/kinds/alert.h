// An alert: its kind, subject, times and figures. Plain values; any thread.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace conntally {

enum class AlertKind : std::uint8_t {
  kConntrackTableNearlyFull,
  kConntrackTableFillPredicted,
  kConntrackTableFull,
  kConntrackInsertFailed,
  kSourceNearTableLimit,
  kSourceNearConnectionLimit,
  kSourceMatchesDropRule,
  kSourceConnectionChurn,
  kSourceScanning,
  kDropRuleSpike,
  kConnectionsUnanswered,
  kRegularSourcesDropped,
  kHalfOpenFlood,
  kNatPortsNearlyExhausted,
  kConntallyDegraded,
};
inline constexpr std::size_t kAlertKinds = 15;
constexpr std::size_t IndexOf(AlertKind kind) { return static_cast<std::size_t>(kind); }

const char* NameOf(AlertKind kind);
std::optional<AlertKind> FindAlertKind(std::string_view name);
// What has happened, in the same words for every alert of the kind.
const char* SummaryOf(AlertKind kind);
// The section of the runbook.
std::string RunbookUrl(AlertKind kind);
// The API path that lists all its subjects; a collective alert names only the first.
const char* ListOf(AlertKind kind);

// A fact; look today; get out of bed.
enum class Severity : std::uint8_t { kInfo, kWarning, kCritical };
inline constexpr std::size_t kSeverities = 3;
constexpr std::size_t IndexOf(Severity severity) { return static_cast<std::size_t>(severity); }
const char* NameOf(Severity severity);

enum class AlertState : std::uint8_t { kInactive, kPending, kFiring, kResolved };
const char* NameOf(AlertState state);

// The subject of an alert: its labels without the severity.
struct AlertSubject {
  AlertKind kind = AlertKind::kConntallyDegraded;
  std::string source;  // empty: none
  std::string rule;    // empty: none, or unknown

  friend auto operator<=>(const AlertSubject&, const AlertSubject&) = default;
};

// How well a subject is proven, the least first. A subject that a stranger can invent by forging addresses gives way to
// one that he cannot invent, when there is little room and in the order of naming.
enum class Standing : std::uint8_t {
  kUnanswered,  // a source that got no answer here
  kAnswered,    // it was answered, but by a protocol in which this can be forged
  kProven,      // one of its TCP connections reached ESTABLISHED: conntrack has checked the window
  kRegular,     // it was proven or answered in several of the last minutes
  kHost,        // the host itself, a rule, the table: nothing that a stranger can choose
};

// Whether a stranger can invent the subject.
inline bool CanBeForged(Standing standing) { return standing < Standing::kProven; }

struct AlertFact {
  std::string name;
  std::variant<double, std::string> value;
};

using AlertTime = std::chrono::sys_time<std::chrono::milliseconds>;

struct Alert {
  AlertSubject subject;
  Severity severity = Severity::kWarning;
  AlertState state = AlertState::kInactive;
  Standing standing = Standing::kHost;
  bool inhibited = false;               // it fires, but so does a higher tier of the same subject, or its cause
  std::optional<AlertKind> cause = {};  // with `inhibited`: the alert that caused it; nullopt: a higher tier
  bool collective = false;              // it stands for the subjects of its kind and severity that are not named
  std::size_t subjects = 1;             // how many it stands for
  AlertTime since{};                    // when the state began
  AlertTime fired{};                    // when it began to fire; with kFiring and kResolved
  std::chrono::milliseconds for_at_least{0};
  double value = 0;
  double threshold = 0;
  std::string description;
  std::vector<AlertFact> evidence;
  std::string degraded;  // why the figures may be wrong; empty: no reason known

  bool visible_firing() const { return state == AlertState::kFiring && !inhibited; }
  // An info does not alarm.
  bool alarms() const { return visible_firing() && severity != Severity::kInfo; }
};

using AlertList = std::vector<Alert>;

// Of one Alertmanager.
struct NotificationFigures {
  std::string alertmanager;  // its URL
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
};

// All alerts at one moment.
struct AlertFigures {
  AlertList alerts;               // pending, firing and recently resolved ones, by subject and severity
  AlertTime evaluated{};          // when they were evaluated; the epoch: never yet
  std::size_t memory_bytes = 0;   // approximate memory of the judges
  std::uint64_t turned_away = 0;  // subjects without room
  std::vector<NotificationFigures> notifications;
};

}  // namespace conntally
