// What the alerts judge: the tallies, the table, the rules and the drops at one moment. It has only sources that are
// near a threshold or lead a ranking, at most kRankedMax by each figure. Plain values; any thread.
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
    std::vector<SourceLimit> limits = {};  // the most used first; may omit limits that are not nearly used
    bool own = false;                      // an address of this host
  };
  struct DroppedSource {
    std::string name;
    SourceDrops drops;
    SourceFigures figures = {};  // of its connections; all zero if it has none
    bool own = false;
  };
  // A recent drop of this host's own packets, with a known destination.
  struct OwnDrop {
    std::string source;
    IpAddress destination;
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;
    std::string rule;  // empty: not known
    std::uint64_t packets = 0;
    std::chrono::steady_clock::time_point last;
  };
  // A source that has most of the failing connections.
  struct Failing {
    std::string name;
    AnswerFigures::Candidate contacts;
    SourceFigures figures = {};
    bool own = false;
  };
  // Attempts by proof: of sources whose addresses cannot be forged, and of the others.
  struct Attempts {
    struct Leader {
      std::string name;
      std::uint64_t count = 0;
    };
    std::uint64_t proven_sources = 0;     // that tried to connect recently
    std::uint64_t connected_sources = 0;  // of them those that completed a TCP handshake, which cannot be forged
    std::uint64_t proven_unanswered = 0;  // those of them that mostly got no answer
    std::uint64_t proven_ipv6_sources = 0;
    std::uint64_t proven_ipv6_unanswered = 0;
    std::uint64_t proven_failed = 0;       // their attempts that got no answer
    std::uint64_t proven_ipv6_failed = 0;  // likewise
    std::uint64_t own = 0;                 // TCP attempts of this host's own addresses
    std::uint64_t own_unanswered = 0;      // those of them that got no answer
    std::uint64_t half_open = 0;           // connections of unproven sources
    std::uint64_t half_open_sources = 0;
    std::vector<Leader> unanswered_leaders = {};
    std::vector<Leader> half_open_leaders = {};
  };

  std::chrono::steady_clock::time_point now{};

  std::optional<TableStatistics> table;
  double seconds_until_full = 0;  // valid with `table`
  double entries_per_second = 0;  // valid with `table`; 0 if the table does not grow
  std::uint64_t table_full_messages = 0;

  bool ready = false;   // the tallies were reconciled at least once
  bool synced = false;  // the tallies are not known to be stale
  std::uint64_t events_lost = 0;
  std::uint64_t sources_turned_away = 0;
  std::map<std::string, std::string> failing;  // collectors, with the reason; without those that are only off

  std::vector<Source> sources;         // by name; without excluded ones
  std::vector<DroppedSource> dropped;  // by name; without excluded ones
  std::vector<OwnDrop> own_drops;      // the most packets first, at most kDroppedMax
  // Sources proven recently, without excluded ones. Empty if not due yet.
  std::vector<SourceFigures> regulars;
  std::uint64_t opened = 0;                      // connections, since the start
  std::uint64_t dropped_packets = 0;             // since the start
  std::uint64_t dropped_to_many = 0;             // of them those to broadcast and multicast addresses
  std::shared_ptr<const AnswerFigures> answers;  // null before the first survey
  Attempts attempts;                             // valid with `answers`
  std::vector<Failing> failing_sources;          // valid with `answers`
  std::shared_ptr<const RuleFigures> rules;      // null before the first reading
  std::shared_ptr<const NatFigures> nat;         // null before the first survey
  SourceGrouping grouping = {};                  // of the sources in `nat`
};

}  // namespace conntally
