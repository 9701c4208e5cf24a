// How often the elements of sets are read: the kernel takes a second to list 100,000, and most figures do not need
// them. In the long run, reading takes at most one part in kShare of a core. Time saved within kSaved may be used at
// once, so that small sets, whose counts start at their first reading, need not wait. Nor do they for one slow reading:
// a thread's CPU time contains what a hypervisor or an interrupt took, so that only what two readings in a row took is
// believed. One owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace conntally {

class ElementPace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr int kShare = 100;  // 1/100 of a core
  static constexpr std::chrono::seconds kSaved{10};

  bool Due(Time now) const { return now >= next_; }
  // The CPU time of the reading that ended. The first one is free, since it may never have to be repeated.
  void Spent(std::chrono::nanoseconds cpu, Time now) {
    next_ = std::max(next_, now - kSaved) + (kShare - 1) * std::min(cpu, std::exchange(last_, cpu));
  }
  void BeginAnew() { *this = ElementPace(); }

  // CPU time used by the calling thread.
  static std::chrono::nanoseconds ThreadCpu() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }

 private:
  Time next_{};
  std::chrono::nanoseconds last_{};
};

}  // namespace conntally
