// Which sources have their own series: the first N of each ranking, admitted and held by ExportedSet. All others form
// one remainder.
//
// The key is the address, not the row: a source whose packets are all dropped has no connection, and so no row in the
// tally.
//
// Threads: any, while holding a view of the tally, which excludes other callers.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <unordered_set>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/drops/drop_tally.h"
#include "collectors/tally/tally.h"
#include "daemon/observation/exported/exported_set.h"

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

  explicit ExportedSources(Options options) : options_(std::move(options)), exported_(SetOptions()) {}
  void set_options(Options options) {
    options_ = std::move(options);
    exported_.set_options(SetOptions());
  }

  // Recomputes the rankings from the view's sources and from the dropped ones.
  void Update(const Tally::View& view, const std::vector<DropTally::Rated>& dropped, Clock::time_point now);
  // Drops the rows that the tally has freed, and the sources that a reload has excluded. Call it after each
  // Tally::Advance, with the same view: another source may soon get such a row.
  void DropForgotten(const Tally::View& view);

  // Whether the row's source has its own series.
  bool Holds(SourceRow row) const { return rows_.contains(row); }
  bool Holds(const IpAddress& source) const { return exported_.Holds(source); }
  bool IsExcluded(const IpAddress& source) const;

  struct Exported {
    IpAddress source;
    SourceRow row = kNoSourceRow;  // kNoSourceRow: no row in the view
  };
  // Ordered by address.
  std::vector<Exported> exported() const;
  // See ExportedSet.
  std::uint64_t holds_turned_away() const { return exported_.holds_turned_away(); }
  std::size_t waiting() const { return exported_.waiting(); }
  std::uint64_t held_back() const { return exported_.held_back(); }

 private:
  // As many sources are held after they left as can be in the rankings at once.
  static constexpr std::size_t kRankings = 5;

  struct Row {
    SourceRow row = kNoSourceRow;
  };
  using Set = ExportedSet<IpAddress, Row>;
  struct Candidate : Set::Candidate, Row {};
  using Candidates = std::map<IpAddress, Candidate>;

  Set::Options SetOptions() const { return {options_.hold, kRankings * options_.top, options_.new_max_per_hour}; }
  void RankDropped(const std::vector<DropTally::Rated>& dropped, Candidates& candidates) const;
  void RankTallied(const Tally::View& view, Candidates& candidates);

  Options options_;
  Set exported_;
  std::unordered_set<SourceRow> rows_;  // of the exported sources that have a row
};

}  // namespace conntally
