// What every collector tells of itself, whatever it collects: how it stands, and what its bounds turned away. Plain
// values; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace conntally {

struct CollectorStatus {
  bool success = false;
  double duration_seconds = 0;  // of its last round
  std::string failure;          // why not, and what to do
  bool off = false;  // wanted only where it can be had, and here it cannot: `failure` says why, but nothing is wrong

  // Before its first round it neither works nor fails.
  bool failing() const { return !success && !off && !failure.empty(); }
};

using CollectorStatuses = std::map<std::string, CollectorStatus>;  // by the `collector` label

struct CollectorReport {
  CollectorStatuses statuses;
  std::map<std::string, std::uint64_t> overflows;  // by the `what` label
};

}  // namespace conntally
