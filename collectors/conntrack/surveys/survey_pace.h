// The pace of surveys of the flow table: slices between events, then a rest, so that surveys take little of the time,
// however many connections there are. While hardly any connection of a large table comes or goes, the rest is longer,
// since a survey would find little new: only ages.
//
// Pure except for the clock that measures a slice. Threads: one owner, the flow table's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "collectors/conntrack/flows/flow_table.h"

namespace conntally {

class SurveyPace {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPeriod{1};  // least time from one survey's end to the next one's start
  static constexpr std::chrono::microseconds kSlice{500};

  static constexpr int kQuietRestFactor = 2000;
  static constexpr std::chrono::seconds kStillRestMax{10};  // while nothing changes
  static constexpr std::chrono::seconds kQuietRestMax{3};   // while little does
  static constexpr std::size_t kLargeTable = 4096;          // connections
  static constexpr std::size_t kQuietPart = 256;            // fewer changes than one for so many connections: little

  // After a survey comes a rest of `rest_factor` times its duration.
  bool due(Clock::time_point now, int rest_factor, const FlowTable& flows) const {
    if (!ended_) return true;
    Clock::duration rest = std::max<Clock::duration>(kPeriod, spent_ * rest_factor);
    const std::uint64_t changes = flows.changes() - changes_;
    if (flows.size() >= kLargeTable && changes < flows.size() / kQuietPart) {
      const Clock::duration most = changes == 0 ? kStillRestMax : kQuietRestMax;
      rest = std::max(rest, std::min(spent_ * kQuietRestFactor, most));
    }
    return now >= *ended_ + rest;
  }
  void Begin(const FlowTable& flows) {
    changes_ = flows.changes();
    visited_ = 0;
    spent_ = {};
  }
  // Processes a slice: calls `visit` for partitions, each once per survey, and `end` after the last. True after `end`.
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
  std::uint64_t changes_ = 0;  // of the table, when the last survey began
  Clock::duration spent_{};
  std::optional<Clock::time_point> ended_;  // end of the last survey
};

}  // namespace conntally
