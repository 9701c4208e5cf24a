// What one Alertmanager has yet to be told. Not a queue of messages but the difference between what is and what it
// knows: however long it is away, what it gets when it is back is what holds then, once.
//
//   fires               told at once, then again each kResendAfter, valid for kValidFor and the alert's own `for`:
//   should the daemon die,
//                       its alerts end by themselves; should it start anew, it has told again before they do
//   no longer fires     told with the time of its end, once, and then forgotten
//   came and went while the Alertmanager was away
//                       told as firing, and kSeenFor later as ended, else nobody would ever hear of it
//   inhibited           not told, but what was told before is kept alive: it has not ended
//
// The end of the process is no end of an alert. Failures are followed by pauses that double up to kPauseMax; an alert
// that the Alertmanager refuses by itself is left alone for kRefusedFor. Bounded: kEntriesMax; what is given up for
// want of room is counted.
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
  static constexpr std::chrono::minutes kWorthTellingFor{15};  // of an alert that came and went untold
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

  // Takes in what there is now. `external` are labels that each alert gets besides its own.
  void Update(const AlertList& alerts, const Labels& external, Moment now);

  // The next message: the body for POST /api/v2/alerts, and what it tells. Nullopt: nothing is due.
  struct Message {
    std::string body;
    std::vector<std::string> keys;
    std::vector<bool> ends;  // by key: tells its end
    std::chrono::steady_clock::time_point composed;
  };
  std::optional<Message> Next(Moment now);
  // Ends alone, whatever the pause: for the last moments of the process.
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
    bool here = false;         // fires, as of the last update
    std::optional<Time> told;  // as firing, the last time
    std::optional<Time> ended;
    AlertTime ended_wall{};
    bool refused = false;  // by itself, and not taken since
    Time not_before{};     // since it was
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
