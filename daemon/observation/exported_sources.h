// Which sources have series of their own: the first N of each ranking, and whoever left it less than `hold`
// ago, so that no series goes stale, and no `for:` of an alert is reset, because a source dipped out of the top for
// one scrape. All the others are one remainder.
//
// A source that newly ranks is admitted once it holds its place for kPlaceHeld and the budget of new series allows it:
// proven ones first, then those that have a hundredth of all there is, each by weight. At the start, while there is
// budget to spare, it need not wait (series_budget.h).
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
#include "collectors/tally/turned_away.h"
#include "daemon/observation/series_budget.h"

namespace conntally {

class ExportedSources {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    std::uint32_t top = 50;  // of each ranking
    std::chrono::milliseconds hold{0};
    std::vector<Prefix> exclude;
    std::uint32_t new_max_per_hour = 600;
  };
  static constexpr std::chrono::milliseconds kPlaceHeld{900};  // from one look of each second to the next

  explicit ExportedSources(Options options) : options_(std::move(options)), budget_(options_.new_max_per_hour) {}
  void set_options(Options options) {
    options_ = std::move(options);
    budget_.set_per_hour(options_.new_max_per_hour);
  }

  // Ranks the sources of the view, and those whose packets are being dropped, anew.
  void Update(const Tally::View& view, const std::vector<DropTally::Rated>& dropped, Clock::time_point now);
  // Lets go of the rows that the tally has freed, and of what a reload has excluded. Call it after each Tally::Advance,
  // with the same view: such a row may soon be another source's.
  void DropForgotten(const Tally::View& view);

  // Whether the row's source has series of its own.
  bool Holds(SourceRow row) const { return rows_.contains(row); }
  bool Holds(const IpAddress& source) const { return exported_.contains(source); }
  bool IsExcluded(const IpAddress& source) const;

  struct Exported {
    IpAddress source;
    SourceRow row = kNoSourceRow;  // kNoSourceRow: it has none in the view
  };
  // In the order of addresses.
  std::vector<Exported> exported() const;
  // Departures that found no room to be held.
  std::uint64_t holds_turned_away() const { return holds_turned_away_; }
  // Sources that rank and have no series: now, and those that the budget held back, each counted once while it waits.
  std::size_t waiting() const { return waiting_.size(); }
  std::uint64_t held_back() const { return held_back_.total(); }

 private:
  // Departed sources are held up to as many as can be in the rankings at once.
  static constexpr std::size_t kRankings = 5;
  std::size_t held_max() const { return kRankings * options_.top; }

  struct Held {
    Clock::time_point last_ranked;
    SourceRow row = kNoSourceRow;
  };

  struct Candidate {
    SourceRow row = kNoSourceRow;
    bool proven = false;
    double share = 0;  // of all there is, in the ranking where it is greatest
    SeriesBudget::Class budget_class() const;
  };
  using Candidates = std::map<IpAddress, Candidate>;

  void RankDropped(const std::vector<DropTally::Rated>& dropped, Candidates& candidates) const;
  void RankTallied(const Tally::View& view, Candidates& candidates);
  void Admit(const Candidates& candidates, Clock::time_point now);
  void DropDeparted(Clock::time_point now);

  Options options_;
  std::map<IpAddress, Held> exported_;
  std::unordered_set<SourceRow> rows_;  // of those in exported_ that have one
  std::uint64_t holds_turned_away_ = 0;
  SeriesBudget budget_;
  std::map<IpAddress, Clock::time_point> waiting_;  // since when
  TurnedAway held_back_;
};

}  // namespace conntally
