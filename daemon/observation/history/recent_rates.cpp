#include "daemon/observation/history/recent_rates.h"

namespace conntally {

void RecentRates::Add(Time when, const CounterSample& sample) {
  samples_.push_back({when, sample});
  while (samples_.size() > 2 && when - samples_[1].when >= kWindow) samples_.pop_front();
  if (samples_.size() > kSamplesMax) samples_.erase(samples_.begin() + 1);
}

CounterRates RecentRates::PerSecond() const {
  if (samples_.size() < 2) return {};
  const auto& [from_when, from] = samples_.front();
  const auto& [to_when, to] = samples_.back();
  const double seconds = std::chrono::duration<double>(to_when - from_when).count();
  if (seconds <= 0) return {};
  // A lower counter has started again, as after a time in which the table was not readable.
  const auto rate = [&](std::uint64_t CounterSample::*counter) {
    return to.*counter < from.*counter ? 0.0 : static_cast<double>(to.*counter - from.*counter) / seconds;
  };
  return {.opened = rate(&CounterSample::opened),
          .closed = rate(&CounterSample::closed),
          .dropped_packets = rate(&CounterSample::dropped_packets),
          .table_drops = rate(&CounterSample::table_drops),
          .table_early_drops = rate(&CounterSample::table_early_drops),
          .table_insert_failed = rate(&CounterSample::table_insert_failed)};
}

}  // namespace conntally
