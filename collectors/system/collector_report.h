// What every collector tells of itself, whatever it collects: how it stands, what its bounds turned away, and figures
// that are nobody else's. Plain values; any thread.
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
  std::string failure;          // why not, and what to do
  bool off = false;  // wanted only where it can be had, and here it cannot: `failure` says why, but nothing is wrong

  // Before its first round it neither works nor fails.
  bool failing() const { return !success && !off && !failure.empty(); }
};

using CollectorStatuses = std::map<std::string, CollectorStatus>;  // by the `collector` label

// A metric that only its collector knows, shown as it is.
struct CollectorFigure {
  enum class Kind { kGauge, kCounter };
  using Labels = std::vector<std::pair<std::string, std::string>>;

  std::string name;  // of the metric, "conntally_" and unit included; its samples stand side by side
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
