// Holds a loop to a steady rate by the clock, without drift: late rounds are caught up. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

namespace conntally::ct_load {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  // `rate` per second; 0 means no bound.
  explicit Pace(double rate) : rate_(rate), start_(Clock::now()) {}

  // Sleeps until `done` operations are due.
  void WaitUntilDue(std::uint64_t done) const {
    if (rate_ <= 0) return;
    std::this_thread::sleep_until(start_ + std::chrono::duration_cast<Clock::duration>(
                                               std::chrono::duration<double>(static_cast<double>(done) / rate_)));
  }

  double elapsed_seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  double rate_;
  Clock::time_point start_;
};

}  // namespace conntally::ct_load
