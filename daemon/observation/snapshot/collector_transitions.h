// What the log is told of the collectors, a line a transition: one fails, and why; it works again, and after how long.
// One that fails again within kSteady of working is told to work again only when it has done so for kSteady, so one
// that flaps fills no log.
//
// Main thread. Pure: what it is given is all that it knows.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/observation/snapshot/trust_verdict.h"

namespace conntally {

class CollectorTransitions {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kSteady{60};
  static constexpr std::chrono::seconds kOtherReason{10};  // the least between two reasons told of one failure

  enum class Kind { kFails, kWorksAgain };
  struct Line {
    Kind kind = Kind::kFails;
    std::string collector;
    std::string text;
  };

  // What has changed since the last call; called each second or more often.
  std::vector<Line> Update(const CollectorStatuses& collectors, Time now);

 private:
  struct Told {
    std::string failure;  // empty: none, or that it works again
    Time failing_since{};
    Time told_at{};
    std::optional<Time> working_since;  // while `failure` stands
    std::optional<Time> last_worked_again;
    bool flaps = false;
  };

  static std::optional<Line> Fails(const std::string& name, const std::string& failure, Told& told, Time now);
  static std::optional<Line> Works(const std::string& name, Told& told, Time now);

  std::map<std::string, Told> told_;
};

}  // namespace conntally
