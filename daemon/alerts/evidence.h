// What one look at the tallies, the table, the rules and the drops gives the alerts to judge. Of sources only those
// that are near a threshold, or lead a ranking; the most of each, kRankedMax. Plain values; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/drops/drop_tally.h"
#include "collectors/rules/rule_counters.h"
#include "collectors/table/table_reader.h"
#include "collectors/tally/tally.h"
#include "daemon/limits/source_limit.h"

namespace conntally {

struct AlertEvidence {
  static constexpr std::size_t kRankedMax = 200;  // sources, by each figure
  static constexpr std::size_t kLimitLookupsMax =
      20'000;  // sources whose limits are looked up, the most connections first

  struct Source {
    std::string name;
    SourceFigures figures;
    std::vector<SourceLimit> limits = {};  // the most used first; those near none need not be there
  };
  struct DroppedSource {
    std::string name;
    SourceDrops drops;
  };

  std::chrono::steady_clock::time_point now{};

  std::optional<TableStatistics> table;
  double seconds_until_full = 0;  // valid with `table`
  double entries_per_second = 0;  // likewise; 0 where there is no trend upwards
  std::uint64_t table_full_messages = 0;

  bool ready = false;   // the tallies have been reconciled once
  bool synced = false;  // and are not known to be stale
  std::uint64_t events_lost = 0;
  std::uint64_t sources_turned_away = 0;
  std::map<std::string, std::string> failing;  // collectors, and why; not those that are only off

  std::vector<Source> sources;               // by name; none that is excluded from export
  std::vector<DroppedSource> dropped;        // likewise
  std::shared_ptr<const RuleFigures> rules;  // null before they are read for the first time
};

}  // namespace conntally
