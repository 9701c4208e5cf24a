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

#include "collectors/conntrack/flows/flow_attribution.h"
#include "collectors/conntrack/surveys/answer_survey.h"
#include "collectors/drops/drop_tally.h"
#include "collectors/nat/nat_figures.h"
#include "collectors/rules/rule_counters.h"
#include "collectors/table/table_reader.h"
#include "collectors/tally/tally.h"
#include "daemon/limits/source_limit.h"

namespace conntally {

struct AlertEvidence {
  static constexpr std::size_t kRankedMax = 200;  // sources, by each figure
  static constexpr std::size_t kLimitLookupsMax =
      20'000;  // sources whose limits are looked up, the most connections first

  static constexpr std::size_t kDroppedMax = 1000;  // sources with dropped packets, the highest rates first
  static constexpr std::size_t kRegularsMax = 4096;
  static constexpr std::chrono::seconds kRegularsEvery{5};  // they change by the minute

  struct Source {
    std::string name;
    SourceFigures figures;
    std::vector<SourceLimit> limits = {};  // the most used first; those near none need not be there
    bool own = false;                      // an address of this host
  };
  struct DroppedSource {
    std::string name;
    SourceDrops drops;
    SourceFigures figures = {};  // of its connections; all zero where none are known
    bool own = false;
  };
  // What was dropped of late of this host's own packets, whose destination is known.
  struct OwnDrop {
    std::string source;
    IpAddress destination;
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;
    std::string rule;  // empty: not known
    std::uint64_t packets = 0;
    std::chrono::steady_clock::time_point last;
  };
  // One that most failing connections are of.
  struct Failing {
    std::string name;
    AnswerFigures::Candidate contacts;
    SourceFigures figures = {};
    bool own = false;
  };
  // By what they have shown: who cannot be made up by forging addresses, and who can.
  struct Attempts {
    struct Leader {
      std::string name;
      std::uint64_t count = 0;
    };
    std::uint64_t proven_sources = 0;     // that lately tried to connect
    std::uint64_t proven_unanswered = 0;  // of them those that mostly got no answer
    std::uint64_t half_open = 0;          // connections of sources that are not proven
    std::uint64_t half_open_sources = 0;
    std::vector<Leader> unanswered_leaders = {};
    std::vector<Leader> half_open_leaders = {};
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

  std::vector<Source> sources;         // by name; none that is excluded from export
  std::vector<DroppedSource> dropped;  // likewise
  std::vector<OwnDrop> own_drops;      // the most packets first, kDroppedMax of them
  // None that is excluded: sources that lately proved themselves. Empty where it is not due.
  std::vector<SourceFigures> regulars;
  std::uint64_t opened = 0;                      // connections, since the start
  std::uint64_t dropped_packets = 0;             // likewise
  std::shared_ptr<const AnswerFigures> answers;  // null before the first survey
  Attempts attempts;                             // valid with `answers`
  std::vector<Failing> failing_sources;          // likewise
  std::shared_ptr<const RuleFigures> rules;      // null before they are read for the first time
  std::shared_ptr<const NatFigures> nat;         // null before the first look
  SourceGrouping grouping = {};                  // of the sources in `nat`
};

}  // namespace conntally
