// What an alert is: which, about whom, since when, by what figures. Plain values; any thread.
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
// What has happened, the same words for every such alert.
const char* SummaryOf(AlertKind kind);
// Where it is told what to do.
std::string RunbookUrl(AlertKind kind);
// Where all of its subjects are listed, of which an alert of many names the first: a path of the API.
const char* ListOf(AlertKind kind);

// A fact; look today; get up.
enum class Severity : std::uint8_t { kInfo, kWarning, kCritical };
inline constexpr std::size_t kSeverities = 3;
constexpr std::size_t IndexOf(Severity severity) { return static_cast<std::size_t>(severity); }
const char* NameOf(Severity severity);

enum class AlertState : std::uint8_t { kInactive, kPending, kFiring, kResolved };
const char* NameOf(AlertState state);

// About what: the alert's labels but for the severity.
struct AlertSubject {
  AlertKind kind = AlertKind::kConntallyDegraded;
  std::string source;  // empty: none
  std::string rule;    // empty: none, or not known

  friend auto operator<=>(const AlertSubject&, const AlertSubject&) = default;
};

// How much a subject has shown of itself, the least first. Whom a stranger can make up by forging addresses gives way
// to whom he cannot: when there is room for few, and in what is told first.
enum class Standing : std::uint8_t {
  kUnanswered,  // a source that nothing of ours has answered
  kAnswered,    // it was answered, but over a protocol in which that can be forged
  kProven,      // a TCP connection of its reached ESTABLISHED: conntrack has checked the window
  kRegular,     // it has been proven, or answered, in several of the last minutes
  kHost,        // the host itself, a rule, the table: nothing that a stranger names
};

// By it a stranger's subjects are told from those that nobody can make up.
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
  bool inhibited = false;               // it fires, and a worse one of the same subject, or its cause, does as well
  std::optional<AlertKind> cause = {};  // with `inhibited`: the alert that it follows from; nullopt: a worse tier
  bool collective = false;              // it stands for those of its kind and severity that are not told by name
  std::size_t subjects = 1;             // for how many
  AlertTime since{};                    // when the state began
  AlertTime fired{};                    // when it began to fire; with kFiring and kResolved
  std::chrono::milliseconds for_at_least{0};
  double value = 0;
  double threshold = 0;
  std::string description;
  std::vector<AlertFact> evidence;
  std::string degraded;  // why the figures may be wrong; empty: they are not known to be

  bool visible_firing() const { return state == AlertState::kFiring && !inhibited; }
  // A fact alarms nobody.
  bool alarms() const { return visible_firing() && severity != Severity::kInfo; }
};

using AlertList = std::vector<Alert>;

// Of one Alertmanager.
struct NotificationFigures {
  std::string alertmanager;  // its URL
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
};

// All that is told about alerts at one moment.
struct AlertFigures {
  AlertList alerts;               // pending, firing and lately resolved ones, by subject and severity
  AlertTime evaluated{};          // when that was; the epoch: never yet
  std::size_t memory_bytes = 0;   // of what the judges remember, about
  std::uint64_t turned_away = 0;  // subjects that found no room
  std::vector<NotificationFigures> notifications;
};

}  // namespace conntally
