// The pace of a survey of the flow table: slices of it between events, and then a rest, so that surveys take little of
// the time however many connections there are.
//
// Pure but for the clock that measures a slice. Threads: one owner, the flow table's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

#include "collectors/conntrack/flows/flow_table.h"

namespace conntally {

class SurveyPace {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPeriod{1};  // the least from one survey's end to the next one's beginning
  static constexpr std::chrono::microseconds kSlice{500};

  // A survey is followed by a rest of `rest_factor` times what it took.
  bool due(Clock::time_point now, int rest_factor) const {
    return !ended_ || now >= *ended_ + std::max<Clock::duration>(kPeriod, spent_ * rest_factor);
  }
  void Begin() {
    visited_ = 0;
    spent_ = {};
  }
  // A slice: `visit` gets partitions, each once a survey, and `end` is called after the last. True when that was.
  template <typename Visit, typename End>
  bool Step(Clock::time_point now, Visit&& visit, End&& end) {
    const Clock::time_point began = Clock::now();
    while (visited_ < FlowTable::kPartitions && Clock::now() - began < kSlice) visit(visited_++);
    const bool ended = visited_ == FlowTable::kPartitions;
    if (ended) end();
    spent_ += Clock::now() - began;
    if (ended) ended_ = now;
    return ended;
  }

 private:
  std::size_t visited_ = 0;
  Clock::duration spent_{};
  std::optional<Clock::time_point> ended_;  // the last one
};

}  // namespace conntally
