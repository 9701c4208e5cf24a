// Rates of counters that are read from time to time, over a window. They hold against gaps (what was counted in one is
// spread over it), a counter that falls (it began anew), and a clock that is set (they go by the steady one).
//
// Pure but for their memory, which is bounded by the window. Threads: one owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace conntally {

using SteadyTime = std::chrono::steady_clock::time_point;

// How much a counter rose in the last `window`. The first reading is where it begins, whatever it shows.
class RisenLately {
 public:
  explicit RisenLately(std::chrono::seconds window) : window_(window) {}

  void Add(SteadyTime now, std::uint64_t counter) {
    if (last_ && counter > *last_) rises_.push_back({now, counter - *last_});
    last_ = counter;
    while (!rises_.empty() && now - rises_.front().when > window_) rises_.pop_front();
  }
  std::uint64_t sum() const {
    std::uint64_t sum = 0;
    for (const Rise& rise : rises_) sum += rise.by;
    return sum;
  }

 private:
  struct Rise {
    SteadyTime when;
    std::uint64_t by;
  };
  std::chrono::seconds window_;
  std::optional<std::uint64_t> last_;
  std::deque<Rise> rises_;  // at most one a reading
};

// The rate of what is told in batches (each reading of the rules' counters, say): from the first batch of the window
// to the last, so that the rate of an even flow does not go up and down with them.
class BatchedRate {
 public:
  static constexpr std::chrono::seconds kWindow{30};

  // `total` since some beginning.
  void Add(SteadyTime now, std::uint64_t total) {
    if (batches_.empty() || total < batches_.back().total) batches_ = {{now, total}};
    if (total > batches_.back().total) batches_.push_back({now, total});
    while (batches_.size() > 1 && now - batches_.front().when > kWindow) batches_.pop_front();
  }

  double PerSecond(SteadyTime now) const {
    if (batches_.size() < 2) return 0;
    SteadyTime::duration longest{0};
    for (std::size_t i = 1; i < batches_.size(); ++i)
      longest = std::max(longest, batches_[i].when - batches_[i - 1].when);
    const Batch& last = batches_.back();
    // A batch that is overdue: the flow has ended, or thinned.
    const auto until = now - last.when > longest + std::chrono::seconds(1) ? now : last.when;
    const double seconds = std::chrono::duration<double>(until - batches_.front().when).count();
    return seconds > 0 ? static_cast<double>(last.total - batches_.front().total) / seconds : 0;
  }

 private:
  struct Batch {
    SteadyTime when;
    std::uint64_t total;
  };
  std::deque<Batch> batches_;  // the first is where the rest is counted from
};

}  // namespace conntally
