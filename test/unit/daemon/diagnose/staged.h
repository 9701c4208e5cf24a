// A host with nothing wrong, whose facts a test changes, and what the checks say of it.
#pragma once

#include <algorithm>
#include <functional>
#include <string>

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

inline IpAddress Address(const char* text) { return *IpAddress::Parse(text); }

struct Staged {
  Question question;
  HostFacts host;
  Config config;
  FirewallReading rules;
  std::optional<WatchedPackets> watched;
  std::optional<RunningDaemon> daemon;
  ConnectionList list;

  Staged() {
    TableStatistics table;
    table.limit = 10'000;
    table.buckets = 10'000;
    host.first.table = table;
    host.first.network = NetworkCounters{};
    host.first.when = std::chrono::steady_clock::time_point{};
    host.last = host.first;
    host.last.when += std::chrono::seconds(1);
    host.links = std::vector<Link>{
        {1, "lo", "", true, true, true}, {2, "eth0", "", true, true, false}, {3, "eth1", "", true, true, false}};
    host.addresses = std::vector<LocalAddress>{{Address("10.0.0.1"), 24, 2}, {Address("10.0.1.1"), 24, 3}};
    host.listeners = std::vector<ListeningSocket>{};
    host.saved_sysctls = std::vector<SavedSysctl>{};
    host.kernel_log = KernelLogFacts{};
    host.uptime = std::chrono::hours(100);
    host.can_administer_network = true;
    host.sysctls = {{"net/ipv4/ip_forward", "0"},
                    {"net/ipv4/conf/all/rp_filter", "0"},
                    {"net/netfilter/nf_conntrack_events", "2"},
                    {"net/netfilter/nf_conntrack_max", "10000"},
                    {"net/netfilter/nf_conntrack_tcp_timeout_established", "432000"},
                    {"net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "120"},
                    {"net/netfilter/nf_conntrack_tcp_timeout_syn_recv", "60"},
                    {"net/netfilter/nf_conntrack_tcp_timeout_time_wait", "120"},
                    {"net/netfilter/nf_conntrack_tcp_timeout_close", "10"},
                    {"net/netfilter/nf_conntrack_udp_timeout", "30"},
                    {"net/netfilter/nf_conntrack_udp_timeout_stream", "120"}};
  }

  TableStatistics& first_table() { return *host.first.table; }
  TableStatistics& last_table() { return *host.last.table; }
  void Count(TableCounter counter, std::uint64_t before, std::uint64_t after) {
    first_table().counters[static_cast<std::size_t>(counter)] = before;
    last_table().counters[static_cast<std::size_t>(counter)] = after;
  }
  void Fill(std::uint64_t entries) { first_table().entries = last_table().entries = entries; }

  // `count` connections of a source, each from a port of its own.
  void Add(const char* source, unsigned count, TcpState state, std::uint32_t timeout_seconds,
           std::uint16_t first_port = 80, bool many_ports = false, std::uint32_t status = 0) {
    for (unsigned i = 0; i < count; ++i) {
      Connection connection;
      connection.key.source = Address(source).bytes;
      connection.key.family = Address(source).family;
      connection.key.destination = Address("10.0.0.1").bytes;
      connection.key.source_port = static_cast<std::uint16_t>(1024 + i);
      connection.key.destination_port = static_cast<std::uint16_t>(first_port + (many_ports ? i : 0));
      connection.key.protocol = state == TcpState::kNone ? 17 : 6;
      connection.tcp_state = state;
      connection.timeout_seconds = timeout_seconds;
      connection.status = status;
      list.connections.push_back(connection);
    }
  }

  Report Check(const std::function<void(const Case&, Report&)>& check) {
    host.connections = list;
    const Census census = diagnose::TakeCensus(list, host.sysctls);
    Report report;
    check(Case{question, host, config, rules, census, watched, daemon}, report);
    return report;
  }
};

inline std::vector<std::string> Ids(const Report& report) {
  std::vector<std::string> ids;
  for (const Finding& finding : report.findings) ids.push_back(WordOf(finding.id));
  return ids;
}

inline bool Says(const Finding& finding, const std::string& text) {
  return finding.title.find(text) != std::string::npos ||
         std::any_of(finding.evidence.begin(), finding.evidence.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

}  // namespace conntally::diagnose
