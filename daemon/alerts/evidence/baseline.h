// The recent past of a figure, to compare its present value with: the means of buckets of kBucket over the last hour,
// and their median and 90th percentile, which a past burst does not move. The last kLag does not count as past, so that
// a change is not compared with itself. Unusual values do not count either, until they have lasted kUnusualMax: then
// they are the usual ones.
//
// While the past is shorter than kPastMin, it is unknown: the warm-up.
//
// Memory: 4 bytes per bucket, at most kBucketsMax buckets. Threads: one owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

class Baseline {
 public:
  static constexpr std::chrono::seconds kBucket{15};
  static constexpr std::chrono::seconds kLag{30};
  static constexpr std::chrono::seconds kPastMin{30};
  static constexpr std::chrono::minutes kUnusualMax{30};
  static constexpr std::size_t kBucketsMax = 240;

  Baseline() = default;
  // As if the figure had been 0 for this long.
  explicit Baseline(std::chrono::seconds at_nothing)
      : past_(std::min(kBucketsMax, static_cast<std::size_t>(at_nothing / kBucket)), 0) {}

  void Add(SteadyTime now, double value, bool unusual) {
    if (!unusual) unusual_since_.reset();
    if (unusual && !unusual_since_) unusual_since_ = now;
    if (unusual_since_ && now - *unusual_since_ <= kUnusualMax && began_ != SteadyTime{}) {
      began_ = now;
      sum_ = 0;
      count_ = 0;
      recent_.clear();  // it is the beginning of the unusual values
      return;
    }
    if (began_ == SteadyTime{}) began_ = now;
    sum_ += value;
    ++count_;
    if (now - began_ < kBucket) return;
    recent_.push_back(static_cast<float>(sum_ / static_cast<double>(count_)));
    began_ = now;
    sum_ = 0;
    count_ = 0;
    while (recent_.size() > static_cast<std::size_t>(kLag / kBucket)) {
      past_.push_back(recent_.front());
      recent_.pop_front();
    }
    if (past_.size() > kBucketsMax) past_.pop_front();
  }

  bool known() const { return past_.size() * kBucket >= kPastMin; }
  double Median() const { return At(0.5); }
  double High() const { return At(0.9); }
  std::size_t bytes() const { return sizeof *this + (past_.size() + recent_.size()) * sizeof(float); }

  // The last `most` buckets.
  nlohmann::json Save(std::size_t most = kBucketsMax) const {
    auto saved = nlohmann::json::array();
    for (std::size_t i = past_.size() > most ? past_.size() - most : 0; i < past_.size(); ++i)
      saved.push_back(std::round(past_[i] * 1000) / 1000);
    return saved;
  }
  // False, without a change, if `saved` is not as Save writes it.
  bool Restore(const nlohmann::json& saved) {
    if (!saved.is_array() || saved.size() > kBucketsMax) return false;
    std::deque<float> past;
    for (const auto& value : saved) {
      if (!value.is_number() || !(std::abs(value.get<double>()) <= std::numeric_limits<float>::max())) return false;
      past.push_back(value.get<float>());
    }
    past_ = std::move(past);
    return true;
  }

 private:
  double At(double share) const {
    if (past_.empty()) return 0;
    std::vector<float> values(past_.begin(), past_.end());
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), at, values.end());
    return *at;
  }

  SteadyTime began_{};  // of the current bucket
  std::optional<SteadyTime> unusual_since_;
  double sum_ = 0;
  std::size_t count_ = 0;
  std::deque<float> recent_;
  std::deque<float> past_;
};

}  // namespace conntally
