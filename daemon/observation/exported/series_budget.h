// How many sources may get new series: a Prometheus pays for each series that ever existed. Most of an hour's budget is
// reserved for sources that matter, so that forged sources, however many, leave room for real ones. Pure; one owner.
//
// At the start any source may use half of the budget, so a source that fills the table then has its series at once. The
// rest accrues evenly, in one share per class. A share saves up to a limit, and a class may also take from lower
// classes' shares. So no hour exceeds the budget, except by one or two if the budget is below 16.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ratio>

namespace conntally {

class SeriesBudget {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Class : std::uint8_t { kProven, kHeavy, kOther };
  static constexpr std::chrono::minutes kStart{10};

  explicit SeriesBudget(std::uint32_t per_hour) : per_hour_(per_hour), start_left_(per_hour / 2) {}
  void set_per_hour(std::uint32_t per_hour) { per_hour_ = per_hour; }

  // Call it at each update, before Take. The first call is the start.
  void Advance(Clock::time_point now) {
    if (!first_) first_ = last_ = now;
    const double hours = std::chrono::duration<double, std::ratio<3600>>(now - last_).count();
    last_ = now;
    for (std::size_t i = 0; i < kShares.size(); ++i) {
      left_[i] = std::min(left_[i] + hours * kShares[i].hourly * per_hour_, std::max(1., kShares[i].saved * per_hour_));
    }
  }

  // Whether one more source of the class may get series now. A source whose place is not `settled` may only at the
  // start.
  bool Take(Class of, bool settled) {
    if (start_left_ > 0 && last_ - *first_ < kStart) {
      --start_left_;
      return true;
    }
    if (!settled) return false;
    for (auto share = static_cast<std::size_t>(of); share < kShares.size(); ++share) {
      if (left_[share] < 1) continue;
      --left_[share];
      return true;
    }
    return false;
  }

 private:
  struct Share {
    double saved, hourly;  // of the budget
  };
  static constexpr std::array<Share, 3> kShares = {{{3. / 16, 5. / 16}, {2. / 16, 2. / 16}, {1. / 16, 1. / 16}}};

  std::uint32_t per_hour_;
  std::uint32_t start_left_;
  std::array<double, 3> left_{};
  std::optional<Clock::time_point> first_;
  Clock::time_point last_{};
};

}  // namespace conntally
