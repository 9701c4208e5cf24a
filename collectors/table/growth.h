// When will the table be full? The slope of its fill over the last window by Theil and Sen: the median of the slopes
// between all pairs of samples. A burst, or the teeth of a garbage collector's saw, move less than a third of the pairs and so
// not the median. (Sen 1968, "Estimates of the regression coefficient based on Kendall's tau".)
//
// Pure but for its memory of samples. Threads: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace conntally {

class Growth {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kSamplesMax = 60;

  // One sample a second or so; the oldest leaves when there are kSamplesMax.
  void Add(Time when, std::uint64_t entries);

  // Entries per second; 0 before there are kSamplesMin samples.
  double EntriesPerSecond() const;

  // +infinity when the table is not growing; 0 when it is full.
  double SecondsUntilFull(std::uint64_t entries, std::uint64_t limit) const;

 private:
  static constexpr std::size_t kSamplesMin = 5;
  struct Sample {
    Time when;
    double entries;
  };
  std::deque<Sample> samples_;
};

}  // namespace conntally
