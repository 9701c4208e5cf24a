// How fast the main counters rise, over the last kWindow, from one sample a second. Pure except for its stored samples;
// one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace conntally {

// Counters that never decrease, at one moment.
struct CounterSample {
  std::uint64_t opened = 0;  // connections
  std::uint64_t closed = 0;
  std::uint64_t dropped_packets = 0;  // by rules
  std::uint64_t table_drops = 0;      // by the kernel, because the table was full
  std::uint64_t table_early_drops = 0;
  std::uint64_t table_insert_failed = 0;
};

// The same per second.
struct CounterRates {
  double opened = 0;
  double closed = 0;
  double dropped_packets = 0;
  double table_drops = 0;
  double table_early_drops = 0;
  double table_insert_failed = 0;
};

class RecentRates {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{10};

  void Add(Time when, const CounterSample& sample);

  // Since the oldest sample at most kWindow older than the newest; all 0 while there are fewer than two.
  CounterRates PerSecond() const;

 private:
  struct Entry {
    Time when;
    CounterSample sample;
  };
  static constexpr std::size_t kSamplesMax = 64;  // in kWindow; samples more frequent than one a second are thinned out
  std::deque<Entry> samples_;
};

}  // namespace conntally
