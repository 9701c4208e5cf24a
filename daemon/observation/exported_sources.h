// Which sources have series of their own: the first N of each ranking, and whoever left it less than `hold`
// ago, so that no series goes stale, and no `for:` of an alert is reset, because a source dipped out of the top for
// one scrape. All the others are one remainder.
//
// They go by address: a source whose packets are all dropped has no connection, hence no row in the tally.
//
// Threads: only while a view of the tally is held, which keeps callers apart.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <unordered_set>
#include <vector>

#include "collectors/drops/drop_tally.h"
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

  // Ranks the sources of the view, and those whose packets are being dropped, anew.
  void Update(const Tally::View& view, const std::vector<DropTally::Rated>& dropped, Clock::time_point now);
  // Lets go of the rows that the tally has freed, and of what a reload has excluded. Call it after each Tally::Advance,
  // with the same view: such a row may soon be another source's.
  void DropForgotten(const Tally::View& view);

  // Whether the row's source has series of its own.
  bool Holds(SourceRow row) const { return rows_.contains(row); }

  struct Exported {
    IpAddress source;
    SourceRow row = kNoSourceRow;  // kNoSourceRow: it has none in the view
  };
  // In the order of addresses.
  std::vector<Exported> exported() const;
  // Departures that found no room to be held.
  std::uint64_t holds_turned_away() const { return holds_turned_away_; }

 private:
  // Departed sources are held up to as many as can be in the rankings at once.
  static constexpr std::size_t kRankings = 4;
  std::size_t held_max() const { return kRankings * options_.top; }

  struct Held {
    Clock::time_point last_ranked;
    SourceRow row = kNoSourceRow;
  };

  void RankDropped(const std::vector<DropTally::Rated>& dropped, Clock::time_point now);
  void RankTallied(const Tally::View& view, Clock::time_point now);
  bool IsExcluded(const IpAddress& source) const;
  void DropDeparted(Clock::time_point now);

  Options options_;
  std::map<IpAddress, Held> exported_;
  std::unordered_set<SourceRow> rows_;  // of those in exported_ that have one
  std::uint64_t holds_turned_away_ = 0;
};

}  // namespace conntally
