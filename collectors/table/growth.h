// When will the table be full? The slope of its fill by Theil and Sen: the median of the slopes between all pairs of
// samples, which a third of wild samples cannot move. (Sen 1968, "Estimates of the regression coefficient based on
// Kendall's tau".)
//
// Over which window? A short one answers soon, a long one is not led astray by teeth and noise. So several windows,
// from 10 seconds to 5 minutes, are looked at in turn, and the longest is taken that still agrees with every shorter
// one within their errors (Lepski 1990, "On a problem of adaptive estimation in Gaussian white noise"): what was before
// a ramp began does not agree with it, and is left out.
//
// Is it growth? Only where most pairs of the window rise: Kendall's tau, which a step cannot bring past 0.51, must be
// past kTauMin. And where the fill goes up and down, a window spans two teeth or more; a fill that has been as high
// twice already in the last kPeaksRemembered, and fell again both times, is judged by the longest window, teeth and
// all.
//
// Pure but for its memory of samples. Threads: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace conntally {

class Growth {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindowMax{300};
  static constexpr std::chrono::seconds kPeaksRemembered{1800};

  // One sample a second or so. What is older than kWindowMax goes, and so does the oldest of too many.
  void Add(Time when, std::uint64_t entries);

  // Entries per second; 0 where there is no trend upwards, and before there are kSamplesMin samples.
  double EntriesPerSecond() const;
  // How long it has grown so, at least: the window that was chosen, as far as there are samples; 0 without a trend.
  double TrendSeconds() const;

  // +infinity when the table is not growing; 0 when it is full.
  double SecondsUntilFull(std::uint64_t entries, std::uint64_t limit) const;

 private:
  static constexpr std::size_t kSamplesMin = 8;
  static constexpr std::size_t kSamplesMax = 600;
  static constexpr std::size_t kPeaksMax = 256;
  static constexpr double kTauMin = 0.6;
  struct Sample {
    Time when;
    double entries = 0;
  };
  struct Trend;

  Trend TrendOfLast(std::chrono::seconds window) const;
  void FollowPeaks(const Sample& sample);
  bool IsTooth(double entries) const;
  std::chrono::duration<double> ShortestWindow() const;
  struct Chosen {
    double slope = 0;
    double seconds = 0;
  };
  Chosen Choose() const;
  const Chosen& chosen() const;

  std::deque<Sample> samples_;
  mutable std::optional<Chosen> chosen_;  // of samples_, once somebody asked
  // The saw: where it turned.
  std::deque<Sample> peaks_;
  bool rising_ = true;
  double extreme_ = 0;  // the highest since the last trough, or the lowest since the last peak
  double trough_ = 0;
};

}  // namespace conntally
