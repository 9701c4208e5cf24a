// One alert for one trouble: the subjects of a kind and severity that are not named (ToldPlaces) make one alert, with
// their number and the first few. Its labels have no source; they have the rule if all subjects had the same rule when
// it began. Alerts about rules have the rule "(others)", since a missing rule means an unknown one.
//
// It fires with the first such subject, and clears when there has been none for kClearAfter. So it does not flap.
//
// Pure. Threads: one owner.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/alerts/kinds/alert.h"

namespace conntally {

class CollectiveAlerts {
 public:
  using Duration = std::chrono::steady_clock::duration;
  using Key = std::pair<AlertKind, Severity>;
  static constexpr std::chrono::seconds kClearAfter{30};
  static constexpr std::size_t kNamed = 3;
  static constexpr const char* kOtherRules = "(others)";

  // The subjects of one kind and severity that are not named, in the order in which the description lists them. `more`:
  // there were further ones, not counted.
  struct Members {
    std::vector<Alert> alerts;
    bool more = false;
  };
  enum class Look { kSeen, kBlind };

  // Returns the alert that this update ended, if any. `step` is the observed time.
  std::optional<Alert> Update(const Key& key, const Members& members, Look look, Duration step, AlertTime now);

  // Whether it has begun to fire since the last call.
  bool TakeFresh(const Key& key) { return std::exchange(collectives_.at(key).fresh, false); }
  // The firing ones.
  std::vector<Alert> alerts() const;
  // Continues an alert that fired before a restart, for at least `grace`.
  void Restore(Alert alert, Duration grace);

 private:
  struct Collective {
    Alert alert;
    Duration below{0};
    bool fresh = false;
  };
  static void Describe(const Members& members, Alert& alert);

  std::map<Key, Collective> collectives_;
};

}  // namespace conntally
