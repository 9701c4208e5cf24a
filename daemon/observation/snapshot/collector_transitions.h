// The log lines about collectors, one a transition: a collector fails, and why; it works again, and after how long. If
// it fails again within kSteady, it is next reported as working only after it has worked for kSteady. So a flapping
// collector does not fill the log.
//
// Main thread. Pure: depends only on its arguments.
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
  static constexpr std::chrono::seconds kOtherReason{10};  // the least time between two reasons logged for one failure

  enum class Kind { kFails, kWorksAgain };
  struct Line {
    Kind kind = Kind::kFails;
    std::string collector;
    std::string text;
  };

  // The changes since the last call. Call it at least once a second.
  std::vector<Line> Update(const CollectorStatuses& collectors, Time now);

 private:
  struct Told {
    std::string failure;  // empty: it never failed, or it works again
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
