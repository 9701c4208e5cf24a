// Which sources have series of their own: the first N of each ranking, and whoever left it less than `hold`
// ago, so that no series goes stale, and no `for:` of an alert is reset, because a source dipped out of the top for
// one scrape. All the others are one remainder.
//
// Threads: only while a view of the tally is held, which keeps callers apart.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

#include "collectors/tally/address.h"
#include "collectors/tally/tally.h"

namespace conntally {

class ExportedSources {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    std::uint32_t top = 50;  // of each ranking
    std::chrono::milliseconds hold{0};
    std::vector<Prefix> exclude;
  };

  explicit ExportedSources(Options options) : options_(std::move(options)) {}
  void set_options(Options options) { options_ = std::move(options); }

  // Ranks the sources of the view anew.
  void Update(const Tally::View& view, Clock::time_point now);
  // What the tally has forgotten, and what a reload has excluded, has no series any more. Call it after each Tally::Advance,
  // with the same view: a row that it freed may soon be another source's.
  void DropForgotten(const Tally::View& view);

  // Whether the row's source has series of its own.
  bool Holds(SourceRow row) const { return exported_.contains(row); }
  // In the order of rows.
  std::vector<SourceRow> rows() const;
  // Departures that found no room to be held.
  std::uint64_t holds_turned_away() const { return holds_turned_away_; }

 private:
  // Departed sources are held up to as many as can be in the rankings at once.
  static constexpr std::size_t kRankings = 3;
  std::size_t held_max() const { return kRankings * options_.top; }

  std::vector<SourceRow> Ranked(const Tally::View& view) const;
  bool IsExcluded(const IpAddress& source) const;
  void DropDeparted(Clock::time_point now);

  Options options_;
  std::map<SourceRow, Clock::time_point> exported_;  // when each was last in a ranking
  std::uint64_t holds_turned_away_ = 0;
};

}  // namespace conntally
