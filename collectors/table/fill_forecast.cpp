#include "collectors/table/fill_forecast.h"

#include <algorithm>
#include <limits>

namespace conntally {

void FillForecast::Add(Time when, std::uint64_t entries, std::optional<std::uint64_t> established) {
  all_.Add(when, entries);
  if (established_known_ != established.has_value()) established_ = {};
  established_known_ = established.has_value();
  if (established) established_.Add(when, *established);
}

double FillForecast::Level(std::uint64_t entries) const {
  const double slope = all_.EntriesPerSecond();
  if (slope <= 0) return static_cast<double>(entries);
  const double lasted = all_.TrendSeconds();
  const double of_established = established_known_ ? std::clamp(established_.EntriesPerSecond(), 0.0, slope) : slope;
  const double established_lasted = established_known_ ? established_.TrendSeconds() : lasted;
  const double short_goes_on = lasted > kShortLifeOver ? kBelievedTimes * lasted : std::max(kShortLife - lasted, 0.0);
  return static_cast<double>(entries) + (slope - of_established) * short_goes_on +
         of_established * kBelievedTimes * established_lasted;
}

double FillForecast::SecondsUntilFull(std::uint64_t entries, std::uint64_t limit) const {
  if (limit != 0 && entries < limit && Level(entries) < static_cast<double>(limit))
    return std::numeric_limits<double>::infinity();
  return all_.SecondsUntilFull(entries, limit);
}

}  // namespace conntally
