// One alert for one trouble: the subjects of a kind and severity that are not told by name (ToldPlaces) make one alert,
// with their number and the first of them. Its labels have no source; they have the rule where all had the same one as
// it began. Alerts that are about rules have "(others)" for a rule: the label without one means a rule that is not
// known.
//
// It fires with the first such subject, and clears when there has been none for kClearAfter, so that it neither follows
// each of them nor flaps.
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

  // Not told by name, of one kind and severity, the first to be named first. `more`: there were others, uncounted.
  struct Members {
    std::vector<Alert> alerts;
    bool more = false;
  };
  enum class Look { kSeen, kBlind };

  // What has ended by it: one at most. `step` is the time that was looked at.
  std::optional<Alert> Update(const Key& key, const Members& members, Look look, Duration step, AlertTime now);

  // Whether it has begun to fire since this was last asked.
  bool TakeFresh(const Key& key) { return std::exchange(collectives_.at(key).fresh, false); }
  // Those that fire.
  std::vector<Alert> alerts() const;
  // Goes on with one that fired before the daemon was restarted, for `grace` at least.
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
