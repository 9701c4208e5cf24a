#include "collectors/table/growth.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace conntally {

void Growth::Add(Time when, std::uint64_t entries) {
  samples_.push_back({when, static_cast<double>(entries)});
  if (samples_.size() > kSamplesMax) samples_.pop_front();
}

double Growth::EntriesPerSecond() const {
  if (samples_.size() < kSamplesMin) return 0;
  std::vector<double> slopes;
  slopes.reserve(samples_.size() * (samples_.size() - 1) / 2);
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    for (std::size_t k = i + 1; k < samples_.size(); ++k) {
      const double seconds = std::chrono::duration<double>(samples_[k].when - samples_[i].when).count();
      if (seconds > 0) slopes.push_back((samples_[k].entries - samples_[i].entries) / seconds);
    }
  }
  if (slopes.empty()) return 0;
  const auto middle = slopes.begin() + static_cast<std::ptrdiff_t>(slopes.size() / 2);
  std::nth_element(slopes.begin(), middle, slopes.end());
  return *middle;
}

double Growth::SecondsUntilFull(std::uint64_t entries, std::uint64_t limit) const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (limit == 0) return kNever;  // no limit
  if (entries >= limit) return 0;
  const double slope = EntriesPerSecond();
  if (slope <= 0) return kNever;
  return static_cast<double>(limit - entries) / slope;
}

}  // namespace conntally
