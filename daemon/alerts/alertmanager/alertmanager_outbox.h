// What one Alertmanager must still be told. It is not a queue of messages, but the difference between the present
// alerts and those that the Alertmanager knows: after an outage of any length, it gets each alert once, as it is then.
//
//   fires               sent at once, then again every kResendAfter, valid for kValidFor and the alert's own `for`:
//                       if the daemon dies, its alerts end by themselves; if it restarts, it sends them before that
//   no longer fires     sent once with the time of its end, then forgotten
//   began and ended while the Alertmanager was away
//                       sent as firing, and kSeenFor later as ended, or nobody would ever hear of it
//   inhibited           not sent, but an alert that was sent before is kept alive: it has not ended
//
// The end of the process does not end an alert. After failures the pause doubles, up to kPauseMax; an alert that the
// Alertmanager refuses is not sent again for kRefusedFor. Bounded by kEntriesMax; alerts given up for lack of room are
// counted.
//
// Pure. Threads: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/alerts/kinds/alert.h"

namespace conntally {

class AlertmanagerOutbox {
 public:
  static constexpr std::chrono::seconds kResendAfter{60};
  static constexpr std::chrono::seconds kValidFor{240};
  static constexpr std::chrono::minutes kValidForExtraMax{30};
  static constexpr std::chrono::seconds kSeenFor{60};
  static constexpr std::chrono::minutes kWorthTellingFor{15};  // for an alert that began and ended unsent
  static constexpr std::chrono::milliseconds kPauseMin{1000};
  static constexpr std::chrono::seconds kPauseMax{30};
  static constexpr std::chrono::minutes kRefusedFor{15};
  static constexpr std::size_t kBatchMax = 64;
  static constexpr std::size_t kEntriesMax = 4000;

  struct Moment {
    std::chrono::steady_clock::time_point monotonic;
    AlertTime wall;
  };
  using Labels = std::map<std::string, std::string>;

  // Takes the present alerts. `external` are labels added to each alert.
  void Update(const AlertList& alerts, const Labels& external, Moment now);

  // The next message: the body for POST /api/v2/alerts, and the keys of its alerts. nullopt: nothing is due.
  struct Message {
    std::string body;
    std::vector<std::string> keys;
    std::vector<bool> ends;  // by key: whether it reports the end
    std::chrono::steady_clock::time_point composed;
  };
  std::optional<Message> Next(Moment now);
  // Only ends, regardless of the pause: for shutdown.
  std::optional<Message> NextEnds(Moment now);

  void Delivered(const Message& message, Moment now);
  enum class Refusal { kNotReached, kRefused };  // kRefused: the message itself (400)
  void Failed(const Message& message, Refusal refusal, Moment now);

  std::size_t size() const { return entries_.size(); }
  std::uint64_t given_up() const { return given_up_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Entry {
    Labels labels;
    Labels annotations;
    AlertTime fired{};
    std::chrono::milliseconds valid_for{0};
    bool inhibited = false;
    bool here = false;         // firing at the last update
    std::optional<Time> told;  // last sent as firing
    std::optional<Time> ended;
    AlertTime ended_wall{};
    bool refused = false;  // this alert was refused, and not accepted since
    Time not_before{};     // not sent before, because it was refused
  };

  enum class Due { kNo, kFires, kEnded };
  static Due DueOf(const Entry& entry, Time now);
  std::optional<Message> Compose(Moment now, bool only_ends);
  void MakeRoom();

  std::map<std::string, Entry> entries_;  // by labels
  Time next_attempt_{};
  std::chrono::milliseconds pause_{0};
  std::size_t batch_max_ = kBatchMax;
  std::uint64_t given_up_ = 0;
};

}  // namespace conntally
