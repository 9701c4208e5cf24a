// All figures of conntally at one moment, as plain values, for the exposition, the API and the page. Its tallies are
// from one consistent view. Immutable once taken; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/drops/drop_tally.h"
#include "collectors/nat/nat_figures.h"
#include "collectors/rules/rule_counters.h"
#include "collectors/system/collector_report.h"
#include "collectors/system/event_source.h"
#include "collectors/table/table_reader.h"
#include "collectors/tally/tally.h"
#include "daemon/alerts/kinds/alert.h"
#include "daemon/limits/source_limit.h"
#include "daemon/observation/exported/exported_destinations.h"
#include "daemon/observation/history/recent_rates.h"
#include "daemon/observation/snapshot/named_networks.h"
#include "daemon/process/build_info.h"
#include "daemon/process/process_figures.h"
#include "daemon/rules/drop_rules.h"

namespace conntally {

// A source with connections, dropped packets, or both.
struct KnownSource {
  SourceFigures figures;
  std::unique_ptr<const SourceDrops> drops = {};  // null: none known. Few have any, and a list may hold every source.
  bool exported = false;                          // it has its own series
};

struct ExportedSource {
  std::string name;  // the address, or the prefix when sources are grouped
  SourceFigures figures;
  std::vector<SourceLimit> limits;  // the most used first
  SourceDrops drops;                // no shares: none known
};

// Whether the figures can be trusted.
struct Trust {
  bool ready = false;   // the first dump is reconciled
  bool synced = false;  // nothing is known to be stale
  bool events_off = false;
  EventSource event_source = EventSource::kNetlink;
  std::array<std::uint64_t, 3> events{};  // by EventKind
  std::uint64_t events_lost = 0;
  std::map<std::string, std::uint64_t> messages_skipped;  // by reason
  std::uint64_t receive_buffer_bytes = 0;
  std::array<std::uint64_t, 3> reconciles{};  // by DumpReason
  DumpCorrections corrections;
  double reconcile_duration_seconds = 0;
  double last_reconcile_timestamp_seconds = 0;     // since the epoch; 0: never
  std::map<std::string, std::uint64_t> overflows;  // by what a bound turned away
  bool config_reload_successful = true;
  double config_reload_success_timestamp_seconds = 0;  // since the epoch
};

struct Snapshot {
  std::optional<TableStatistics> table;  // absent while not readable
  double table_seconds_until_full = 0;   // valid with `table`
  double table_entries_per_second = 0;   // valid with `table`; 0 if the table does not grow
  std::uint64_t table_full_messages = 0;

  TotalFigures totals;
  CounterRates rates;         // over the last seconds
  std::uint64_t sources = 0;  // that have a connection; a lower bound while some connections are unattributed
  std::vector<ExportedSource> exported;
  std::uint64_t other_sources = 0;
  std::int64_t other_connections = 0;
  std::int64_t unexported_source_connections_max = 0;  // without excluded sources
  std::uint64_t sources_waiting = 0;                   // ranked, without series yet

  ExportedDestinations::Split destinations;
  std::vector<NamedGroup> groups;  // "other" last; their sums are the totals

  std::array<std::uint64_t, kDropVias> dropped_packets{};  // by DropVia

  std::uint64_t flows = 0;               // connections in the flow table
  std::vector<CollectorFigure> figures;  // the collectors' own

  std::shared_ptr<const RuleFigures> rules;  // null before the first reading
  DropRules::Top drop_rules;

  std::shared_ptr<const NatFigures> nat;  // null before the first survey
  std::vector<PortUse> nat_exported;

  std::shared_ptr<const AlertFigures> alerts;  // null: alerts are not evaluated

  std::map<std::string, CollectorStatus> collectors;
  Trust trust;
  ProcessFigures process;
  BuildInfo build;
};

}  // namespace conntally
