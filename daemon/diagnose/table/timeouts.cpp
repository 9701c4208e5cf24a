#include <spdlog/fmt/fmt.h>

#include <array>

#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

struct StateTimeout {
  const char* state;   // by its name in Census::states
  const char* name;    // the sysctl
  std::int64_t usual;  // the kernel's default, s (nf_conntrack_proto_tcp.c, _udp.c)
};

constexpr std::array<StateTimeout, 9> kTimeouts = {{
    {"tcp syn_sent", "tcp_timeout_syn_sent", 120},
    {"tcp syn_recv", "tcp_timeout_syn_recv", 60},
    {"tcp fin_wait", "tcp_timeout_fin_wait", 120},
    {"tcp close_wait", "tcp_timeout_close_wait", 60},
    {"tcp last_ack", "tcp_timeout_last_ack", 30},
    {"tcp time_wait", "tcp_timeout_time_wait", 120},
    {"tcp close", "tcp_timeout_close", 10},
    {"udp unreplied", "udp_timeout", 30},
    {"udp replied", "udp_timeout_stream", 120},
}};

void AddIdle(const Case& facts, double usage, Report& report) {
  const Census& census = facts.census;
  const double share = static_cast<double>(census.idle) / static_cast<double>(census.connections);
  if (usage < 0.5 || share < 0.3) return;
  Finding finding;
  finding.id = FindingId::kTimeoutsTooLong;
  finding.title = "Silent connections fill the table: their timeout is far beyond what the traffic needs";
  finding.certainty = usage >= facts.config.alerts.table_usage.warning ? 0.6 : 0.35;
  const std::string path = "net/netfilter/nf_conntrack_tcp_timeout_established";
  finding.evidence.push_back(
      fmt::format("{} of {} entries ({}) are established TCP connections without a packet for {} or more",
                  Grouped(census.idle), Grouped(census.connections), Percent(share), Lasting(Census::kIdleSeconds)));
  finding.evidence.push_back("nf_conntrack_tcp_timeout_established keeps them for " +
                             Lasting(static_cast<double>(facts.Sysctl(path).value_or(0))));
  finding.cause =
      "a peer that vanishes leaves its entry until the timeout ends; after days, dead entries outnumber live ones";
  finding.fix.push_back(SetSysctl(facts, path, "86400",
                                  "a connection that is silent for longer loses its entry, and with NAT its way; "
                                  "entries that are there keep their old timeout"));
  report.findings.push_back(std::move(finding));
}

void AddState(const Case& facts, const StateTimeout& timeout, double usage, Report& report) {
  const std::string path = std::string("net/netfilter/nf_conntrack_") + timeout.name;
  const auto set = facts.Sysctl(path);
  const auto held = facts.census.states.find(timeout.state);
  if (!set || *set < timeout.usual * 4 || held == facts.census.states.end()) return;
  const double share = static_cast<double>(held->second) / static_cast<double>(facts.census.connections);
  const bool crowded = usage >= 0.25 && share >= 0.3;
  const bool extreme = *set >= timeout.usual * 10 && share >= 0.2 && held->second >= 1000;
  if (!crowded && !extreme) return;
  Finding finding;
  finding.id = FindingId::kTimeoutsTooLong;
  finding.title = fmt::format("Connections in state \"{}\" fill the table: their timeout is {}", timeout.state,
                              Lasting(static_cast<double>(*set)));
  finding.certainty = crowded ? usage >= facts.config.alerts.table_usage.warning ? 0.65 : 0.45 : 0.2;
  finding.evidence.push_back(fmt::format("{} entries ({}) are in that state", Grouped(held->second), Percent(share)));
  finding.evidence.push_back(
      fmt::format("nf_conntrack_{} = {} s; the kernel's default is {} s", timeout.name, *set, timeout.usual));
  finding.cause = "connections that are over, or never came to be, keep their entries for that long";
  finding.fix.push_back(SetSysctl(facts, path, std::to_string(timeout.usual), "little: it is the kernel's default"));
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckTimeouts(const Case& facts, Report& report) {
  const auto& table = facts.host.last.table ? facts.host.last.table : facts.host.first.table;
  if (!table || table->limit.value_or(0) == 0 || facts.census.connections == 0) return;
  const double usage = static_cast<double>(facts.census.connections) / static_cast<double>(*table->limit);
  report.checked.push_back(
      fmt::format("timeouts, against what is in the table: {} established connections are silent for {} or more",
                  Grouped(facts.census.idle), Lasting(Census::kIdleSeconds)));
  AddIdle(facts, usage, report);
  for (const StateTimeout& timeout : kTimeouts) AddState(facts, timeout, usage, report);
}

}  // namespace conntally::diagnose
