// How often the elements of sets are read: a set of 100,000 takes the kernel a second to list, and most of what rules
// do is known without. Reading them takes at most kShare of a core, in the long run: what was not used for kSaved may
// be used at once, so that small sets, whose first reading decides from when they count, wait for nothing. One owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace conntally {

class ElementPace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr int kShare = 100;  // one part of so many of a core
  static constexpr std::chrono::seconds kSaved{10};

  bool Due(Time now) const { return now >= next_; }
  // The last reading took this much of the CPU. The first one is free: what it read may never have to be read again.
  void Spent(std::chrono::nanoseconds cpu, Time now) {
    if (!std::exchange(first_, false)) next_ = std::max(next_, now - kSaved) + (kShare - 1) * cpu;
  }
  void BeginAnew() { *this = ElementPace(); }

  // CPU that the calling thread has used.
  static std::chrono::nanoseconds ThreadCpu() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }

 private:
  Time next_{};
  bool first_ = true;
};

}  // namespace conntally
