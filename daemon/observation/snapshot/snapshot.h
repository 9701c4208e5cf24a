// Everything conntally knows at one moment, as plain values: what the exposition, the API and the page are made from.
// The tallies in it are one coherent view. Immutable once taken; any thread.
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

// A source that is known by its connections, by its dropped packets, or by both.
struct KnownSource {
  SourceFigures figures;
  SourceDrops drops = {};  // no shares: none known
  bool exported = false;   // it has series of its own
};

struct ExportedSource {
  std::string name;  // the address, or the prefix when sources are grouped
  SourceFigures figures;
  std::vector<SourceLimit> limits;  // the most used first
  SourceDrops drops;                // no shares: none known
};

// How far the figures can be trusted.
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
  std::optional<TableStatistics> table;  // absent while the kernel does not tell
  double table_seconds_until_full = 0;   // valid with `table`
  double table_entries_per_second = 0;   // likewise; 0 where there is no trend upwards
  std::uint64_t table_full_messages = 0;

  TotalFigures totals;
  CounterRates rates;         // over the last seconds
  std::uint64_t sources = 0;  // with a connection or more; a lower bound while some are unattributed
  std::vector<ExportedSource> exported;
  std::uint64_t other_sources = 0;
  std::int64_t other_connections = 0;
  std::int64_t unexported_source_connections_max = 0;  // excluded ones aside
  std::uint64_t sources_waiting = 0;                   // that rank and have no series yet

  ExportedDestinations::Split destinations;
  std::vector<NamedGroup> groups;  // the other one last; their sums are the totals

  std::array<std::uint64_t, kDropVias> dropped_packets{};  // by DropVia

  std::uint64_t flows = 0;               // connections in the table of them
  std::vector<CollectorFigure> figures;  // of the collectors' own

  std::shared_ptr<const RuleFigures> rules;  // null before they are read for the first time
  DropRules::Top drop_rules;

  std::shared_ptr<const NatFigures> nat;  // null before the first look
  std::vector<PortUse> nat_exported;

  std::shared_ptr<const AlertFigures> alerts;  // null: nobody looks for any

  std::map<std::string, CollectorStatus> collectors;
  Trust trust;
  ProcessFigures process;
  BuildInfo build;
};

}  // namespace conntally
