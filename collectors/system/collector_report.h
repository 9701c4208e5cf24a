// What every collector reports: its status, the counts of what its bounds turned away, and its own figures. Plain
// values; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace conntally {

struct CollectorStatus {
  bool success = false;
  double duration_seconds = 0;  // of its last round
  std::string failure;          // the reason, and what to do
  bool off = false;             // optional, and not available here: `failure` says why, but nothing is wrong

  // Before its first round it neither succeeds nor fails.
  bool failing() const { return !success && !off && !failure.empty(); }
};

using CollectorStatuses = std::map<std::string, CollectorStatus>;  // by the `collector` label

// A metric that only its collector knows, exposed unchanged.
struct CollectorFigure {
  enum class Kind { kGauge, kCounter };
  using Labels = std::vector<std::pair<std::string, std::string>>;

  std::string name;  // of the metric, with "conntally_" and unit; its samples must be adjacent
  std::string help;
  Kind kind = Kind::kGauge;
  double value = 0;
  Labels labels = {};
};

struct CollectorReport {
  CollectorStatuses statuses;
  std::map<std::string, std::uint64_t> overflows;  // by the `what` label
  std::vector<CollectorFigure> figures;

  void Add(const CollectorReport& other) {
    statuses.insert(other.statuses.begin(), other.statuses.end());
    overflows.insert(other.overflows.begin(), other.overflows.end());
    figures.insert(figures.end(), other.figures.begin(), other.figures.end());
  }
};

}  // namespace conntally
