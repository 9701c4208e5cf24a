#include "daemon/observation/snapshot/collector_transitions.h"

#include <spdlog/fmt/fmt.h>

namespace conntally {

std::vector<CollectorTransitions::Line> CollectorTransitions::Update(const CollectorStatuses& collectors, Time now) {
  std::vector<Line> lines;
  for (const auto& [name, status] : collectors) {
    if (!status.success && !status.failing()) continue;  // off, or before its first round
    Told& told = told_[name];
    if (auto line = status.success ? Works(name, told, now) : Fails(name, status.failure, told, now))
      lines.push_back(std::move(*line));
  }
  // Collectors that a reload removed.
  std::erase_if(told_, [&](const auto& entry) { return !collectors.contains(entry.first); });
  return lines;
}

std::optional<CollectorTransitions::Line> CollectorTransitions::Fails(const std::string& name,
                                                                      const std::string& failure, Told& told,
                                                                      Time now) {
  told.working_since.reset();
  if (told.failure.empty()) {
    told.failing_since = now;
    told.flaps = told.last_worked_again && now - *told.last_worked_again < kSteady;
  } else if (told.failure == failure || now - told.told_at < kOtherReason) {
    return std::nullopt;
  }
  told.failure = failure;
  told.told_at = now;
  return Line{Kind::kFails, name, fmt::format("collector {} fails: {}", name, failure)};
}

std::optional<CollectorTransitions::Line> CollectorTransitions::Works(const std::string& name, Told& told, Time now) {
  if (told.failure.empty()) return std::nullopt;
  if (!told.working_since) told.working_since = now;
  if (told.flaps && now - *told.working_since < kSteady) return std::nullopt;
  told.failure.clear();
  told.last_worked_again = now;
  const std::chrono::duration<double> failed_for = *told.working_since - told.failing_since;
  told.working_since.reset();
  return Line{Kind::kWorksAgain, name,
              fmt::format("collector {} works again, after {:.0f} s{}", name, failed_for.count(),
                          told.flaps ? " in which it failed time and again" : "")};
}

}  // namespace conntally
