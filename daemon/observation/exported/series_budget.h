// How many sources may newly get series of their own: a Prometheus pays for each that ever was. Most of an hour's
// budget is for those that matter, so that forged sources, however many, leave room for a real one. Pure; one owner.
//
// At the start half of it is there for anybody: who fills the table then has its series at once. The rest comes evenly,
// into one share for each class; a share saves up to some of it, and a class may also take from the shares below its
// own. So no hour sees more than the budget, but for one or two where that is below 16.
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

  // Call it at each look, before Take; the start is the first one.
  void Advance(Clock::time_point now) {
    if (!first_) first_ = last_ = now;
    const double hours = std::chrono::duration<double, std::ratio<3600>>(now - last_).count();
    last_ = now;
    for (std::size_t i = 0; i < kShares.size(); ++i) {
      left_[i] = std::min(left_[i] + hours * kShares[i].hourly * per_hour_, std::max(1., kShares[i].saved * per_hour_));
    }
  }

  // Whether one more source of the class may get series now. One whose place is not `settled` yet may at the start
  // only.
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
