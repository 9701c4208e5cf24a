#include "daemon/exposition/exposition.h"

#include <bitset>
#include <limits>

#include "collectors/tally/protocol_names.h"
#include "daemon/exposition/destination_exposition.h"
#include "daemon/exposition/group_exposition.h"
#include "daemon/exposition/metric_family.h"
#include "daemon/exposition/nat_exposition.h"
#include "daemon/exposition/rule_exposition.h"
#include "daemon/exposition/source_exposition.h"
#include "daemon/exposition/text_writer.h"

namespace conntally {
namespace {

using List = MetricFamilyList;

void AddTable(List& list, const Snapshot& snapshot) {
  if (!snapshot.table) return;
  const TableStatistics& table = *snapshot.table;
  list.Gauge("conntally_table_entries",
             "Entries in the kernel's conntrack table, expired ones that wait for collection included.")
      .Add(table.entries);
  auto limit =
      list.Gauge("conntally_table_entries_limit", "Entries the table may hold (nf_conntrack_max); 0 is no limit.");
  if (table.limit) limit.Add(*table.limit);
  auto buckets = list.Gauge("conntally_table_buckets", "Hash buckets of the table (nf_conntrack_buckets).");
  if (table.buckets) buckets.Add(*table.buckets);
  list.Gauge("conntally_expectations", "Connections that helpers expect.").Add(table.expectations);
  auto expectations_limit =
      list.Gauge("conntally_expectations_limit", "Expected connections there may be (nf_conntrack_expect_max).");
  if (table.expectations_limit) expectations_limit.Add(*table.expectations_limit);
  list.Gauge("conntally_table_seconds_until_full",
             "Seconds until the table is full at its present slope (Theil-Sen over 10 seconds to 5 minutes); +Inf when "
             "it is not growing.")
      .Add(snapshot.table_seconds_until_full);

  const auto counter = [&](const char* name, const char* help, TableCounter which) {
    list.Counter(name, help).Add(table.counter(which));
  };
  counter("conntally_table_insert_failed_total", "Entries that clashed with another on insertion: not a full table.",
          TableCounter::kInsertFailed);
  counter("conntally_table_drops_total", "Packets dropped because no entry could be made for them.",
          TableCounter::kDrop);
  counter("conntally_table_early_drops_total", "Entries evicted before their time to make room.",
          TableCounter::kEarlyDrop);
  counter("conntally_table_invalid_packets_total", "Packets that fit no connection.", TableCounter::kInvalid);
  counter("conntally_table_search_restarts_total", "Look-ups begun again because the table was resized.",
          TableCounter::kSearchRestart);
  counter("conntally_table_clash_resolved_total", "Clashes on insertion settled without losing a packet.",
          TableCounter::kClashResolved);
  counter("conntally_table_chain_too_long_total", "Entries refused because their hash chain was too long.",
          TableCounter::kChainTooLong);
}

void AddConnections(List& list, const TotalFigures& totals) {
  auto connections = list.Gauge("conntally_connections", "Connections tracked, by protocol and state.");
  std::bitset<256> protocols;
  for (std::size_t i = 0; i < totals.connections.size(); ++i) {
    if (!totals.connections_seen[i]) continue;  // but an existing series stays, at 0
    const FlowStateIndex index(i);
    protocols.set(index.protocol());
    connections.Add(totals.connections[i], {{"protocol", ProtocolName(index.protocol())}, {"state", StateName(index)}});
  }
  // Also at 0 for a protocol that had connections: increase() needs the value before the first.
  const auto by_protocol = [&](List::Family family, const std::array<std::uint64_t, 256>& counts) {
    for (std::size_t protocol = 0; protocol < counts.size(); ++protocol) {
      if (protocols.test(protocol) || counts[protocol] != 0)
        family.Add(counts[protocol], {{"protocol", ProtocolName(static_cast<std::uint8_t>(protocol))}});
    }
  };
  by_protocol(list.Counter("conntally_connections_opened_total", "Connections opened since the daemon started."),
              totals.opened);
  by_protocol(list.Counter("conntally_connections_closed_total",
                           "Connections that ended since the daemon started, those older than it included."),
              totals.closed);

  prometheus::ClientMetric::Histogram histogram;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < totals.durations.size(); ++i) {
    cumulative += totals.durations[i];
    const bool last = i == kDurationBoundsSeconds.size();
    histogram.bucket.push_back(
        {cumulative, last ? std::numeric_limits<double>::infinity() : kDurationBoundsSeconds[i]});
  }
  histogram.sample_count = cumulative;
  histogram.sample_sum = static_cast<double>(totals.duration_sum_ms) / 1000;
  list.Histogram("conntally_connection_duration_seconds",
                 "How long connections were in the table, from their opening to their removal: the idle timeout that "
                 "ended them is included.")
      .Add(histogram);
}

void AddDrops(List& list, const Snapshot& snapshot) {
  auto dropped =
      list.Counter("conntally_dropped_packets_total",
                   "Packets that netfilter dropped or rejected, of all sources, by how they were seen; each once.");
  for (std::size_t via = 0; via < kDropVias; ++via) {
    if (snapshot.dropped_packets[via] != 0)
      dropped.Add(snapshot.dropped_packets[via], {{"via", NameOf(static_cast<DropVia>(via))}});
  }
  const auto kernel_log = snapshot.collectors.find("kernel_log");
  if (kernel_log != snapshot.collectors.end() && kernel_log->second.success) {
    list.Counter("conntally_table_full_messages_total",
                 "Lines in the kernel's log that tell of this table being full; the kernel writes few of many.")
        .Add(snapshot.table_full_messages);
  }
}

// Figures of one name are adjacent.
void AddFigures(List& list, const std::vector<CollectorFigure>& figures) {
  for (std::size_t i = 0; i < figures.size();) {
    const CollectorFigure& first = figures[i];
    const bool counts = first.kind == CollectorFigure::Kind::kCounter;
    auto family = counts ? list.Counter(first.name, first.help) : list.Gauge(first.name, first.help);
    for (; i < figures.size() && figures[i].name == first.name; ++i) {
      family.Add(figures[i].value, figures[i].labels);
    }
  }
}

void AddTrust(List& list, const Snapshot& snapshot) {
  const Trust& trust = snapshot.trust;
  list.Gauge("conntally_up", "1 while the daemon answers.").Add(1);
  list.Gauge("conntally_synced", "1 while the tallies are as the kernel's table, 0 while they are known to be stale.")
      .Add(trust.synced);
  list.Counter("conntally_events_total", "Conntrack events received, by kind.")
      .Add(trust.events[0], {{"event", "new"}})
      .Add(trust.events[1], {{"event", "update"}})
      .Add(trust.events[2], {{"event", "destroy"}});
  list.Counter("conntally_netlink_events_lost_total",
               "Conntrack events lost because the receive buffer or the BPF ring was full; counted one by one.")
      .Add(trust.events_lost);
  list.Counter("conntally_netlink_overruns_total", "Deprecated: the same as conntally_netlink_events_lost_total.")
      .Add(trust.events_lost);
  list.Gauge("conntally_event_source_info", "Always 1; where conntrack events come from, as a label.")
      .Add(1, {{"source", WordOf(trust.event_source)}});
  auto skipped =
      list.Counter("conntally_netlink_messages_skipped_total", "Netlink messages that could not be used, by reason.");
  for (const auto& [reason, count] : trust.messages_skipped) skipped.Add(count, {{"reason", reason}});
  list.Gauge("conntally_netlink_receive_buffer_bytes",
             "Receive buffer granted for events, as the kernel accounts it: an event takes 1280 bytes or more.")
      .Add(trust.receive_buffer_bytes);
  list.Counter("conntally_reconciles_total", "Comparisons with the kernel's whole table, by reason.")
      .Add(trust.reconciles[0], {{"reason", "start"}})
      .Add(trust.reconciles[1], {{"reason", "interval"}})
      .Add(trust.reconciles[2], {{"reason", "overrun"}});
  list.Counter(
          "conntally_reconcile_corrections_total",
          "Connections that comparisons set right: missed ones were not in the tallies, stale ones not in the kernel.")
      .Add(trust.corrections.missed, {{"kind", "missed"}})
      .Add(trust.corrections.stale, {{"kind", "stale"}});
  list.Gauge("conntally_reconcile_duration_seconds", "How long the last comparison took.")
      .Add(trust.reconcile_duration_seconds);
  list.Gauge("conntally_last_reconcile_timestamp_seconds",
             "When the last comparison ended, as Unix time; 0 before the first.")
      .Add(trust.last_reconcile_timestamp_seconds);
  auto overflow = list.Counter("conntally_overflow_total", "What a bound turned away.");
  for (const auto& [what, count] : trust.overflows) overflow.Add(count, {{"what", what}});

  auto success = list.Gauge("conntally_collector_success", "1 when the collector's last round went well.");
  for (const auto& [name, status] : snapshot.collectors) {
    if (!status.off) success.Add(status.success, {{"collector", name}});
  }
  auto duration = list.Gauge("conntally_collector_duration_seconds", "How long the collector's last round took.");
  for (const auto& [name, status] : snapshot.collectors) {
    if (!status.off) duration.Add(status.duration_seconds, {{"collector", name}});
  }
  list.Gauge("conntally_config_last_reload_successful", "1 when the configuration was read without a fault last time.")
      .Add(trust.config_reload_successful);
  list.Gauge("conntally_config_last_reload_success_timestamp_seconds",
             "When the configuration was last read without a fault, as Unix time; at first when the daemon started.")
      .Add(trust.config_reload_success_timestamp_seconds);
  list.Gauge("conntally_build_info", "Always 1; what was built, as labels.")
      .Add(1, {{"version", std::string(snapshot.build.version)},
               {"revision", std::string(snapshot.build.revision)},
               {"compiler", std::string(snapshot.build.compiler)}});
  list.Gauge("conntally_flow_table_connections", "Connections held in memory one by one.").Add(snapshot.flows);
  AddFigures(list, snapshot.figures);
}

void AddAlerts(List& list, const AlertFigures& figures) {
  auto firing = list.Gauge("conntally_alert_firing",
                           "1 while the alert fires and neither a worse tier nor its cause inhibits it.");
  for (const Alert& alert : figures.alerts) {
    if (!alert.visible_firing()) continue;
    firing.Add(1, {{"alert", NameOf(alert.subject.kind)},
                   {"severity", NameOf(alert.severity)},
                   {"source", alert.subject.source},
                   {"rule", alert.subject.rule}});
  }
  list.Gauge("conntally_alerts_last_evaluation_timestamp_seconds",
             "When the daemon last evaluated its alerts, which it does each second.")
      .Add(std::chrono::duration<double>(figures.evaluated.time_since_epoch()).count());
  auto notifications =
      list.Counter("conntally_alert_notifications_total", "Alerts sent to the Alertmanager, by whether it took them.");
  for (const NotificationFigures& each : figures.notifications) {
    notifications.Add(each.succeeded, {{"alertmanager", each.alertmanager}, {"result", "success"}})
        .Add(each.failed, {{"alertmanager", each.alertmanager}, {"result", "failure"}});
  }
}

void AddProcess(List& list, const ProcessFigures& process) {
  list.Counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")
      .Add(process.cpu_seconds);
  list.Gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.")
      .Add(process.start_time_seconds);
  list.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.").Add(process.resident_bytes);
  list.Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.").Add(process.virtual_bytes);
  list.Gauge("process_open_fds", "Number of open file descriptors.").Add(process.open_fds);
  list.Gauge("process_max_fds", "Maximum number of open file descriptors.").Add(process.max_fds);
  list.Gauge("process_threads", "Number of OS threads in the process.").Add(process.threads);
}

}  // namespace

void WriteMetrics(const Snapshot& snapshot, MetricWriter& writer) {
  List list(writer);
  AddTable(list, snapshot);
  AddConnections(list, snapshot.totals);
  AddSources(list, snapshot);
  AddGroups(list, snapshot.groups);
  AddDestinations(list, snapshot.destinations);
  AddDrops(list, snapshot);
  AddNat(list, snapshot.nat_exported);
  if (snapshot.rules) AddRules(list, *snapshot.rules);
  if (snapshot.alerts) AddAlerts(list, *snapshot.alerts);
  AddTrust(list, snapshot);
  AddProcess(list, snapshot.process);
}

std::string Exposition(const Snapshot& snapshot) {
  TextWriter writer;
  WriteMetrics(snapshot, writer);
  return writer.Take();
}

}  // namespace conntally
