// A snapshot with every figure in it, each different, so that no two can be mistaken for one another.
#pragma once

#include <limits>

#include "daemon/observation/snapshot/snapshot.h"

namespace conntally::test {

inline ExportedSource FullSource(const char* address, std::int64_t connections, std::uint64_t limit) {
  ExportedSource source{address, {}, {}, {}};
  if (limit != 0) {
    source.limits = {
        {.origin = LimitOrigin::kConnlimit, .connections = limit / 2, .counted = limit / 3, .rule = "-j REJECT"},
        {.origin = LimitOrigin::kConfig, .connections = limit, .counted = limit / 4},
        {.origin = LimitOrigin::kConnlimit, .connections = limit * 2, .counted = 1, .rule = "-j DROP"}};
  }
  source.figures.source = IpAddress::Parse(address).value_or(IpAddress{});
  source.figures.connections = connections;
  source.figures.unreplied = connections / 3;
  source.figures.destination_ports = connections / 5;
  source.figures.opened = 1000 + static_cast<std::uint64_t>(connections);
  source.figures.closed = 1000;
  return source;
}

inline Snapshot FullSnapshot() {
  Snapshot snapshot;
  snapshot.table = TableStatistics{.entries = 71,
                                   .limit = 262'144,
                                   .buckets = 65'536,
                                   .expectations = 2,
                                   .expectations_limit = 4096,
                                   .counters = {11, 12, 13, 14, 15, 16, 17}};
  snapshot.table_seconds_until_full = 5400.25;

  TotalFigures& totals = snapshot.totals;
  const auto connections = [&](FlowStateIndex state, std::int64_t count) {
    totals.connections[state.value()] = count;
    totals.connections_seen[state.value()] = true;
  };
  connections(FlowStateIndex::Tcp(1), 4);
  connections(FlowStateIndex::Tcp(3), 40);
  connections(FlowStateIndex::Tcp(7), 0);  // were some
  connections(FlowStateIndex::Other(17, false), 9);
  connections(FlowStateIndex::Other(17, true), 13);
  connections(FlowStateIndex::Other(58, true), 1);
  connections(FlowStateIndex::Other(253, false), 2);
  totals.opened[6] = 9'007'199'254'740'991;  // the largest that a sample can hold exactly
  totals.opened[17] = 2022;
  totals.closed[6] = 900;
  totals.durations = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  totals.duration_sum_ms = 12'345'678;

  snapshot.exported = {FullSource("192.0.2.7", 30, 100), FullSource("2001:db8::1", 20, 0)};
  snapshot.exported.push_back(FullSource("198.51.100.0", 5, 0));
  snapshot.exported.back().name = "198.51.100.0/24";
  snapshot.sources = 6;
  snapshot.other_sources = 3;
  snapshot.unexported_source_connections_max = 2;
  snapshot.totals.unattributed_connections = 1;
  snapshot.other_connections = 14;  // 4 + 40 + 9 + 13 + 1 + 2 - 30 - 20 - 5
  snapshot.destinations.exported = {{{IpAddress::Parse("192.0.2.80").value_or(IpAddress{}), 443, 6}, 41, 2},
                                    {{IpAddress::Parse("2001:db8::80").value_or(IpAddress{}), 0, 58}, 3, 1}};
  snapshot.destinations.others = 25;
  snapshot.groups = {{"office", {30, 3, 31, 32}, 33}, {"other", {39, 4, 41, 42}, 43}};
  snapshot.flows = 68;
  snapshot.figures = {
      {.name = "conntally_flow_table_bytes", .help = "Memory of the tables that hold them.", .value = 4096}};
  PortUse use;
  use.nat_address = IpAddress::Parse("203.0.113.1").value_or(IpAddress{});
  use.destination = {IpAddress::Parse("198.51.100.7").value_or(IpAddress{}), 443, 6};
  use.ports = {5000, 5099};
  use.used = 93;
  use.closed = 21;
  snapshot.nat_exported = {use, use};
  snapshot.nat_exported.back().destination = {IpAddress::Parse("198.51.100.8").value_or(IpAddress{}), 0, 1};
  snapshot.nat_exported.back().ports = {0, 65'535};
  snapshot.collectors = {{"conntrack", {true, 0.125, ""}}, {"table", {false, 0.5, "no table statistics"}}};

  Trust& trust = snapshot.trust;
  trust.ready = trust.synced = true;
  trust.events = {501, 502, 503};
  trust.events_lost = 504;
  trust.messages_skipped = {{"foreign", 505}, {"malformed", 506}, {"unsupported", 507}};
  trust.receive_buffer_bytes = 67'108'864;
  trust.reconciles = {1, 508, 509};
  trust.corrections = {510, 511};
  trust.reconcile_duration_seconds = 0.125;
  trust.last_reconcile_timestamp_seconds = 1'700'000'000.5;
  trust.overflows = {{"connections", 512}, {"export_hold", 513}, {"sources", 514}};
  trust.config_reload_successful = false;
  trust.config_reload_success_timestamp_seconds = 1'700'000'001.25;

  auto alerts = std::make_shared<AlertFigures>();
  const auto alert = [&](AlertKind kind, Severity severity, AlertState state, const char* source, const char* rule) {
    Alert each;
    each.subject = {kind, source, rule};
    each.severity = severity;
    each.state = state;
    alerts->alerts.push_back(each);
  };
  alert(AlertKind::kConntrackTableNearlyFull, Severity::kCritical, AlertState::kFiring, "", "");
  alert(AlertKind::kSourceMatchesDropRule, Severity::kWarning, AlertState::kFiring, "192.0.2.7",
        "tcp dport 23 drop comment \"no\"");
  alerts->alerts.back().degraded = "some are lost";
  alerts->alerts.back().evidence = {{"packets", 516.0}, {"via", "ebpf"}};
  alert(AlertKind::kSourceMatchesDropRule, Severity::kWarning, AlertState::kFiring, "192.0.2.8", "");
  alerts->alerts.back().inhibited = true;
  alert(AlertKind::kSourceScanning, Severity::kWarning, AlertState::kPending, "192.0.2.9", "");
  alert(AlertKind::kSourceScanning, Severity::kWarning, AlertState::kResolved, "192.0.2.10", "");
  alerts->evaluated = AlertTime(std::chrono::seconds(519));
  alerts->notifications = {{"http://127.0.0.1:9093", 517, 518}};
  snapshot.alerts = std::move(alerts);

  snapshot.process = {.cpu_seconds = 1.5,
                      .start_time_seconds = 1'699'999'000.25,
                      .resident_bytes = 10'000'000,
                      .virtual_bytes = 200'000'000,
                      .open_fds = 21,
                      .max_fds = 1024,
                      .threads = 4};
  snapshot.build = {"0.1.0", "0123456789ab", "gcc 12.2.0 \"quoted\\\" \n"};
  return snapshot;
}

}  // namespace conntally::test
