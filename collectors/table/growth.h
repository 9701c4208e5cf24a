// The slope of the table's fill by Theil and Sen: the median of the slopes between all pairs of samples, which
// tolerates almost a third of outliers (Sen 1968, "Estimates of the regression coefficient based on Kendall's tau").
//
// Which window? A short one responds soon; a long one is not misled by saw teeth and noise. So it tries several
// windows, from 10 seconds to 5 minutes, and takes the longest that agrees with every shorter one within their errors
// (Lepski 1990, "On a problem of adaptive estimation in Gaussian white noise"). Samples from before a ramp do not agree
// with it, and are left out.
//
// Is it growth? Only if most pairs in the window rise: Kendall's tau, which a single step cannot raise above 0.51, must
// exceed kTauMin. If the fill goes up and down, the window must span at least two teeth. A fill that was as high twice
// within kPeaksRemembered, and fell again both times, is judged by the longest window with all its teeth.
//
// Pure except for its stored samples. Threads: one owner.
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

  // About one sample a second. Drops samples older than kWindowMax, and the oldest if there are too many.
  void Add(Time when, std::uint64_t entries);

  // Entries per second; 0 if it does not grow, and with fewer than kSamplesMin samples.
  double EntriesPerSecond() const;
  // The least time for which it has grown like this: the chosen window, as far as it has samples; 0 without growth.
  double TrendSeconds() const;

  // +infinity if the table does not grow; 0 if it is full.
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
  mutable std::optional<Chosen> chosen_;  // of samples_, once computed
  // The turning points of the fill.
  std::deque<Sample> peaks_;
  bool rising_ = true;
  double extreme_ = 0;  // the maximum since the last trough, or the minimum since the last peak
  double trough_ = 0;
};

}  // namespace conntally
