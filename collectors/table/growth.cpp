#include "collectors/table/growth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace conntally {
namespace {

using std::chrono::seconds;

constexpr std::array kWindows = {seconds(10), seconds(15), seconds(20),  seconds(30),  seconds(45),
                                 seconds(60), seconds(90), seconds(120), seconds(180), seconds(300)};
constexpr std::size_t kBinsMax = 60;  // per window: one or two thousand pairs
constexpr double kAgreement =
    0.05;                           // windows whose slopes differ by less than this share agree, even for a smooth fill
constexpr double kTauClear = 0.9;   // only rising
constexpr double kErrorsApart = 9;  // standard errors; adjacent samples of a saw are not independent

constexpr double kEntriesApart = 2;  // entries are whole numbers: a slow, even fill looks like stairs

double Median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Point {
  double seconds;
  double entries;
};

// Joins adjacent points into at most kBinsMax.
std::vector<Point> Joined(const std::vector<Point>& points) {
  const std::size_t each = (points.size() + kBinsMax - 1) / kBinsMax;
  if (each <= 1) return points;
  std::vector<Point> joined;
  for (std::size_t first = 0; first + each <= points.size(); first += each) {
    Point sum{0, 0};
    for (std::size_t i = first; i < first + each; ++i) {
      sum.seconds += points[i].seconds;
      sum.entries += points[i].entries;
    }
    joined.push_back({sum.seconds / static_cast<double>(each), sum.entries / static_cast<double>(each)});
  }
  return joined;
}

}  // namespace

struct Growth::Trend {
  std::size_t samples = 0;
  double slope = 0;
  double error = 0;  // of the slope; windows agree within it
  double tau = 0;    // -1 (all pairs fall) to 1 (all rise)
};

void Growth::Add(Time when, std::uint64_t entries) {
  const Sample sample{when, static_cast<double>(entries)};
  samples_.push_back(sample);
  while (samples_.size() > kSamplesMax || when - samples_.front().when > kWindowMax) samples_.pop_front();
  FollowPeaks(sample);
  chosen_.reset();
}

const Growth::Chosen& Growth::chosen() const {
  if (!chosen_) chosen_ = Choose();
  return *chosen_;
}

double Growth::EntriesPerSecond() const { return chosen().slope; }

double Growth::TrendSeconds() const { return chosen().slope > 0 ? chosen().seconds : 0; }

Growth::Trend Growth::TrendOfLast(seconds window) const {
  std::vector<Point> points;
  for (const Sample& sample : samples_) {
    const std::chrono::duration<double> ago = samples_.back().when - sample.when;
    if (ago <= window) points.push_back({-ago.count(), sample.entries});
  }
  points = Joined(points);
  Trend trend;
  trend.samples = points.size();
  std::vector<double> slopes;
  double rising = 0, falling = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t k = i + 1; k < points.size(); ++k) {
      const double apart = points[k].seconds - points[i].seconds;
      if (apart <= 0) continue;
      slopes.push_back((points[k].entries - points[i].entries) / apart);
      rising += slopes.back() > 0;
      falling += slopes.back() < 0;
    }
  }
  if (slopes.empty()) return trend;
  trend.tau = (rising - falling) / static_cast<double>(slopes.size());
  trend.slope = Median(slopes);

  // The error from the residuals' median deviation, which tolerates outliers too.
  std::vector<double> residuals;
  double mean = 0;
  for (const Point& point : points) mean += point.seconds / static_cast<double>(points.size());
  double spread = 0;
  for (const Point& point : points) {
    residuals.push_back(point.entries - trend.slope * point.seconds);
    spread += (point.seconds - mean) * (point.seconds - mean);
  }
  const double intercept = Median(residuals);
  for (double& residual : residuals) residual = std::abs(residual - intercept);
  const double deviation = 1.4826 * Median(residuals);
  const double span = points.back().seconds - points.front().seconds;
  trend.error = spread > 0 ? kErrorsApart * deviation / std::sqrt(spread) + kEntriesApart / span : 0;
  return trend;
}

Growth::Chosen Growth::Choose() const {
  if (samples_.size() < kSamplesMin) return {};
  const bool tooth = IsTooth(samples_.back().entries);
  const auto shortest = ShortestWindow();
  Trend chosen;
  double low = -std::numeric_limits<double>::infinity();
  double high = -low;
  std::size_t seen = 0;
  const std::chrono::duration<double> age = samples_.back().when - samples_.front().when;
  double lasted = 0;
  for (const seconds window : kWindows) {
    const Trend trend = TrendOfLast(window);
    if (trend.samples < kSamplesMin || (window < shortest && window != kWindows.back())) continue;
    const bool agrees = trend.slope >= low && trend.slope <= high && (trend.tau >= kTauMin || chosen.tau < kTauClear);
    if (seen != 0 && !tooth && !agrees) break;
    chosen = trend;
    lasted = std::min<double>(static_cast<double>(window.count()), age.count());
    const double error = std::max(trend.error, kAgreement * std::abs(trend.slope));
    low = std::max(low, trend.slope - error);
    high = std::min(high, trend.slope + error);
    ++seen;
    if (samples_.back().when - samples_.front().when < window) break;  // longer windows have the same samples
  }
  if (chosen.tau < kTauMin) return {};
  return {std::max(chosen.slope, 0.0), lasted};
}

// A peak is where the fill begins to fall by a third or more of its last rise.
void Growth::FollowPeaks(const Sample& sample) {
  const double entries = sample.entries;
  if (samples_.size() == 1 && peaks_.empty()) extreme_ = trough_ = entries;
  if (rising_) {
    extreme_ = std::max(extreme_, entries);
    trough_ = std::min(trough_, entries);
    if (extreme_ - entries > std::max((extreme_ - trough_) / 3, 1.0)) {
      peaks_.push_back({sample.when, extreme_});
      rising_ = false;
      extreme_ = entries;
    }
  } else {
    extreme_ = std::min(extreme_, entries);
    const double peak = peaks_.empty() ? extreme_ : peaks_.back().entries;
    if (entries - extreme_ > std::max((peak - extreme_) / 3, 1.0)) {
      rising_ = true;
      trough_ = extreme_;
      extreme_ = entries;
    }
  }
  while (!peaks_.empty() && (peaks_.size() > kPeaksMax || sample.when - peaks_.front().when > kPeaksRemembered))
    peaks_.pop_front();
}

// Two teeth, unless there was a pause longer than a tooth and a half.
std::chrono::duration<double> Growth::ShortestWindow() const {
  if (peaks_.size() < 2) return {};
  const Sample& last = peaks_.back();
  const auto tooth = last.when - peaks_[peaks_.size() - 2].when;
  const auto since = samples_.back().when - last.when;
  return since * 2 <= tooth * 3 ? std::chrono::duration<double>(tooth * 2) : std::chrono::duration<double>{};
}

bool Growth::IsTooth(double entries) const {
  const auto as_high =
      std::count_if(peaks_.begin(), peaks_.end(), [&](const Sample& peak) { return peak.entries >= entries; });
  return as_high >= 2;
}

double Growth::SecondsUntilFull(std::uint64_t entries, std::uint64_t limit) const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (limit == 0) return kNever;  // no limit
  if (entries >= limit) return 0;
  const double slope = EntriesPerSecond();
  if (slope <= 0) return kNever;
  return static_cast<double>(limit - entries) / slope;
}

}  // namespace conntally
