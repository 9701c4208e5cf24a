// Rates over a window, of counters that are read from time to time. They tolerate gaps (a rise in a gap is spread over
// it), a falling counter (it was reset), and changes of the clock (they use the steady one).
//
// Pure except for their memory, which the window bounds. Threads: one owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace conntally {

using SteadyTime = std::chrono::steady_clock::time_point;

// How much a counter rose in the last `window`. The first reading is the start, whatever its value.
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
  std::deque<Rise> rises_;  // at most one per reading
};

// The rate of a counter that rises in batches (say at each reading of the rules' counters): from the first batch of the
// window to the last, so that the rate of an even flow does not fluctuate with the batches.
class BatchedRate {
 public:
  static constexpr std::chrono::seconds kWindow{30};

  // `total` since any start.
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
    // An overdue batch: the flow has ended or slowed.
    const auto until = now - last.when > longest + std::chrono::seconds(1) ? now : last.when;
    const double seconds = std::chrono::duration<double>(until - batches_.front().when).count();
    return seconds > 0 ? static_cast<double>(last.total - batches_.front().total) / seconds : 0;
  }

 private:
  struct Batch {
    SteadyTime when;
    std::uint64_t total;
  };
  std::deque<Batch> batches_;  // the first is the start of the count
};

}  // namespace conntally
