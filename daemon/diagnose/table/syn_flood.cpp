#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <set>

#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

constexpr std::uint64_t kHalfOpenLeast = 200;

// A destination with connections begun and not completed.
struct Target {
  IpAddress address;
  std::uint16_t port = 0;
  std::uint64_t attempts = 0;
  std::uint64_t sources = 0;
  std::string evidence;
};

// From the table: half-open connections, if they are much of all TCP and most go to one destination.
std::optional<Target> TargetOfTable(const Case& facts) {
  const Census& census = facts.census;
  if (census.half_open < kHalfOpenLeast || census.half_open * 2 < census.tcp || census.half_open_destinations.empty())
    return std::nullopt;
  const DestinationCensus& first = census.half_open_destinations.front();
  if (first.half_open < kHalfOpenLeast || first.half_open * 2 < census.half_open) return std::nullopt;
  return Target{
      first.address, first.port, first.half_open, first.half_open_sources,
      fmt::format("{} of {} TCP entries ({}) are half-open, {} of them to this port", Grouped(census.half_open),
                  Grouped(census.tcp), Percent(static_cast<double>(census.half_open) / static_cast<double>(census.tcp)),
                  Grouped(first.half_open))};
}

// From the wire: for packets that rules drop before they create an entry, or that SYN cookies answer.
std::optional<Target> TargetOfWire(const Case& facts) {
  if (!facts.watched) return std::nullopt;
  std::map<std::pair<IpAddress, std::uint16_t>, std::pair<std::uint64_t, std::set<IpAddress>>> places;
  for (const WatchedFlow& flow : facts.watched->flows) {
    if (flow.protocol != 6) continue;
    auto& [attempts, sources] = places[{flow.destination, flow.destination_port}];
    ++attempts;
    sources.insert(flow.source);
  }
  const auto most = std::max_element(places.begin(), places.end(), [](const auto& one, const auto& other) {
    return one.second.first < other.second.first;
  });
  if (most == places.end()) return std::nullopt;
  const auto& [attempts, sources] = most->second;
  // If nearly each attempt has its own source, they are forged.
  if (attempts < kHalfOpenLeast || sources.size() * 2 < attempts) return std::nullopt;
  return Target{
      most->first.first, most->first.second, attempts, sources.size(),
      fmt::format("seen on the wire: {} SYNs in {} to this port", Grouped(attempts), Lasting(facts.ObservedSeconds()))};
}

bool ConcernsAnother(const Case& facts, const Target& target) {
  const Question& question = facts.question;
  return (question.destination_port && *question.destination_port != target.port) ||
         (question.destination && *question.destination != target.address && !facts.IsOfAnother(*question.destination));
}

}  // namespace

void CheckSynFlood(const Case& facts, Report& report) {
  if (!facts.host.connections && !facts.watched) return;
  const std::uint64_t full_queues =
      facts.Growth("TcpExt.TCPReqQFullDrop") + facts.Growth("TcpExt.TCPReqQFullDoCookies");
  report.checked.push_back(fmt::format("half-open connections: {} of {} TCP entries", Grouped(facts.census.half_open),
                                       Grouped(facts.census.tcp)));
  auto target = TargetOfTable(facts);
  if (!target) target = TargetOfWire(facts);
  if (!target) return;

  Finding finding;
  finding.id = FindingId::kSynFlood;
  finding.title = fmt::format("SYN flood upon {} port {}", target->address.ToString(), target->port);
  finding.certainty = ConcernsAnother(facts, *target) ? 0.4 : facts.question.destination_port ? 0.8 : 0.7;
  if (full_queues > 0) finding.certainty += 0.1;
  finding.evidence.push_back(target->evidence);
  const bool one_source = target->sources * 20 <= target->attempts;
  finding.evidence.push_back(target->sources == 1 ? "all from one source"
                             : one_source         ? fmt::format("from {} sources", Grouped(target->sources))
                                          : fmt::format("from {} sources, about one attempt each: spoofed, or many",
                                                        Grouped(target->sources)));
  if (full_queues > 0)
    finding.evidence.push_back(
        fmt::format("{} times the listener's queue of half-open connections was full", Grouped(full_queues)));
  if (facts.host.kernel_log && !facts.host.kernel_log->syn_floods.empty()) {
    finding.evidence.push_back("the kernel's log: \"" + facts.host.kernel_log->syn_floods.back().text + "\"");
  }
  finding.cause =
      "each incomplete handshake holds a queue slot and an entry (60 to 120 s), until honest clients find no room";
  if (facts.Sysctl("net/ipv4/tcp_syncookies").value_or(1) == 0) {
    finding.fix.push_back(
        SetSysctl(facts, "net/ipv4/tcp_syncookies", "1", "while the queue is full, connections lose some TCP options"));
  }
  finding.fix.push_back(
      AddGuardRule(facts, fmt::format("syn_{}", target->port),
                   fmt::format("tcp dport {} tcp flags syn limit rate over 200/second drop", target->port),
                   "drops honest clients as well once the rate is reached; synproxy would not, and takes more rules"));
  finding.fix.push_back(
      SetSysctl(facts, "net/netfilter/nf_conntrack_tcp_timeout_syn_recv", "20", "slow handshakes (20 s or more) fail"));
  report.findings.push_back(std::move(finding));
}

}  // namespace conntally::diagnose
