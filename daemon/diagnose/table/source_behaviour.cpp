#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <set>

#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kNamedMax = 3;  // sources named per kind of behaviour

Fix LimitSource(const Case& facts, const char* why, const IpAddress& source, const std::string& what,
                const std::string& risk) {
  return AddGuardRule(
      facts, fmt::format("{}_{}", why, source.ToString()),
      fmt::format("{} saddr {} {}", source.family == Family::kIpv4 ? "ip" : "ip6", source.ToString(), what), risk);
}

// Seen on the wire: for packets dropped or refused before they create an entry.
struct WatchedSource {
  std::uint64_t flows = 0;
  std::uint64_t fruitless = 0;  // unanswered, reset or unreachable
  std::set<std::uint16_t> ports;
  std::set<IpAddress> addresses;
};

std::map<IpAddress, WatchedSource> CountWatched(const Case& facts) {
  std::map<IpAddress, WatchedSource> sources;
  if (!facts.watched) return sources;
  for (const WatchedFlow& flow : facts.watched->flows) {
    WatchedSource& source = sources[flow.source];
    ++source.flows;
    source.fruitless += flow.answer != WatchedFlow::Answer::kAccepted;
    source.ports.insert(flow.destination_port);
    source.addresses.insert(flow.destination);
  }
  return sources;
}

Finding ScanFinding(const Case& facts, const IpAddress& source, std::uint64_t ports, std::uint64_t addresses) {
  Finding finding;
  finding.id = FindingId::kPortScan;
  finding.source = source;
  const bool of_ports = ports >= addresses;
  finding.title = fmt::format("{} scans {}: {} distinct {}", source.ToString(), of_ports ? "ports" : "addresses",
                              Grouped(of_ports ? ports : addresses), of_ports ? "ports" : "addresses");
  finding.certainty = facts.IsOfAnother(source) ? 0.3 : facts.question.source ? 0.7 : 0.6;
  finding.cause =
      "a source that tries port after port (or address after address), mostly in vain, fills the table with entries "
      "that nobody answers, and "
      "is what rules against scans drop";
  finding.fix.push_back(LimitSource(facts, "scan", source, "ct state new limit rate over 20/second drop",
                                    "whatever else it does beyond that rate is lost, too"));
  return finding;
}

void CheckScans(const Case& facts, const std::map<IpAddress, WatchedSource>& watched, Report& report) {
  const auto least = static_cast<std::uint64_t>(facts.config.alerts.source_scan.warning);
  std::size_t named = 0;
  std::set<IpAddress> told;
  for (const SourceCensus& source : facts.census.sources) {
    const std::uint64_t fruitless = std::max(source.unreplied, source.refused);
    const bool ports = source.destination_ports >= least;
    const bool addresses =
        source.destination_addresses >= least && source.destination_ports * 10 <= source.destination_addresses;
    if ((!ports && !addresses) || fruitless * 2 < source.connections || named >= kNamedMax) continue;
    Finding finding = ScanFinding(facts, source.source, source.destination_ports, source.destination_addresses);
    finding.evidence.push_back(fmt::format("{} entries: {} distinct destination ports, {} destination addresses",
                                           Grouped(source.connections), Grouped(source.destination_ports),
                                           Grouped(source.destination_addresses)));
    finding.evidence.push_back(fmt::format("{} of them unreplied, {} answered by a reset", Grouped(source.unreplied),
                                           Grouped(source.refused)));
    report.findings.push_back(std::move(finding));
    told.insert(source.source);
    ++named;
  }
  for (const auto& [address, source] : watched) {
    const bool scans = source.ports.size() >= least ||
                       (source.addresses.size() >= least && source.ports.size() * 10 <= source.addresses.size());
    if (!scans || source.fruitless * 2 < source.flows || named >= kNamedMax || told.contains(address)) continue;
    Finding finding = ScanFinding(facts, address, source.ports.size(), source.addresses.size());
    finding.evidence.push_back(
        fmt::format("seen on the wire in {}: {} connection attempts at {} ports of {} addresses, {} in vain",
                    Lasting(facts.ObservedSeconds()), Grouped(source.flows), Grouped(source.ports.size()),
                    Grouped(source.addresses.size()), Grouped(source.fruitless)));
    report.findings.push_back(std::move(finding));
    ++named;
  }
}

struct Rate {
  IpAddress source;
  double per_second = 0;
  std::string evidence;
};

// The highest known rate of each source, from any origin.
std::vector<Rate> FastestSources(const Case& facts, const std::map<IpAddress, WatchedSource>& watched) {
  std::map<IpAddress, Rate> rates;
  const auto offer = [&](const IpAddress& source, double per_second, std::string evidence) {
    Rate& rate = rates[source];
    if (per_second > rate.per_second) rate = {source, per_second, std::move(evidence)};
  };
  for (const SourceCensus& source : facts.census.sources) {
    offer(source.source, source.short_rate,
          fmt::format("{} entries, {} of them ended; {:.0f} short connections a second, judged by remaining timeouts",
                      Grouped(source.connections), Grouped(source.ended), source.short_rate));
  }
  const double seconds = facts.ObservedSeconds();
  for (const auto& [address, source] : watched) {
    if (seconds < 1) break;
    const double per_second = static_cast<double>(source.flows) / seconds;
    offer(address, per_second,
          fmt::format("seen on the wire: {} connection attempts in {}", Grouped(source.flows), Lasting(seconds)));
  }
  if (facts.daemon) {
    for (const auto& source : facts.daemon->fastest) {
      const auto address = IpAddress::Parse(source.source);  // a group of sources has no address
      if (address)
        offer(*address, source.new_rate,
              fmt::format("the daemon counts {:.0f} new connections a second", source.new_rate));
    }
  }
  std::vector<Rate> ordered;
  for (auto& [address, rate] : rates) ordered.push_back(std::move(rate));
  std::sort(ordered.begin(), ordered.end(),
            [](const Rate& one, const Rate& other) { return one.per_second > other.per_second; });
  return ordered;
}

void CheckChurn(const Case& facts, const std::map<IpAddress, WatchedSource>& watched, const Report& scans,
                Report& report) {
  std::size_t named = 0;
  for (const Rate& rate : FastestSources(facts, watched)) {
    if (rate.per_second < facts.config.alerts.source_new_rate.warning || named >= kNamedMax) break;
    // A scan is also fast, and its finding says more.
    const std::string name = rate.source.ToString();
    const bool is_scan = std::any_of(scans.findings.begin(), scans.findings.end(), [&](const Finding& finding) {
      return finding.id == FindingId::kPortScan && finding.source == rate.source;
    });
    Finding finding;
    finding.id = FindingId::kConnectionChurn;
    finding.title = fmt::format("{} opens {:.0f} connections a second", name, rate.per_second);
    finding.certainty = (facts.IsOfAnother(rate.source) ? 0.3
                         : facts.question.source        ? 0.6
                                                        : 0.5) *
                        (is_scan ? 0.6 : 1);
    finding.evidence.push_back(rate.evidence);
    finding.evidence.push_back(fmt::format("worth a warning from {:.0f} a second on (alerts.source_new_rate)",
                                           facts.config.alerts.source_new_rate.warning));
    finding.cause =
        "each connection keeps its entry for a while after it has ended (TIME_WAIT 120 s, an unreplied datagram 30 s), "
        "so that a high rate of short "
        "ones holds many entries, and uses up ports: a client without keep-alive, a health check gone wild, or an "
        "attack";
    finding.fix.push_back(LimitSource(facts, "churn", rate.source, "ct state new limit rate over 100/second drop",
                                      "the client sees timeouts beyond that rate"));
    report.findings.push_back(std::move(finding));
    ++named;
  }
}

void CheckLeaks(const Case& facts, Report& report) {
  const auto& table = facts.host.last.table ? facts.host.last.table : facts.host.first.table;
  const std::uint64_t limit = table && table->limit ? *table->limit : 0;
  if (limit == 0) return;
  const double usage = static_cast<double>(facts.census.connections) / static_cast<double>(limit);
  std::size_t named = 0;
  for (const SourceCensus& source : facts.census.sources) {
    // Many idle connections, or a good part of the table, and most of the source's connections.
    const bool many = source.idle >= 1000 || (source.idle >= 100 && source.idle * 20 >= limit);
    if (!many || source.idle * 2 < source.connections || named >= kNamedMax) continue;
    Finding finding;
    finding.id = FindingId::kConnectionLeak;
    finding.title = fmt::format("{} leaves connections open: {} of them silent for {} or more",
                                source.source.ToString(), Grouped(source.idle), Lasting(Census::kIdleSeconds));
    finding.certainty = facts.IsOfAnother(source.source) ? 0.25 : usage >= 0.5 || facts.question.source ? 0.55 : 0.4;
    finding.evidence.push_back(
        fmt::format("{} of its {} connections are established and silent, the longest for {}; {} to port {}",
                    Grouped(source.idle), Grouped(source.connections), Lasting(source.oldest_idle_seconds),
                    Grouped(source.first_port_connections), source.first_port));
    finding.cause =
        "a client that does not close what it opens (a pool without bound, a crash without FIN) holds entries until "
        "they time out, and counts "
        "against every limit per source";
    Fix fix;
    fix.command = fmt::format("conntrack {}-D -s {} -p tcp --state ESTABLISHED",
                              source.source.family == Family::kIpv6 ? "-f ipv6 " : "", source.source.ToString());
    fix.risk = "ends every established connection of the source, also those that are in use";
    finding.fix.push_back(std::move(fix));
    report.findings.push_back(std::move(finding));
    ++named;
  }
}

}  // namespace

void CheckSources(const Case& facts, Report& report) {
  if (!facts.host.connections && !facts.watched) return;
  report.checked.push_back(
      fmt::format("how {} sources behave: scans, churn, connections left open", Grouped(facts.census.sources.size())));
  const auto watched = CountWatched(facts);
  CheckScans(facts, watched, report);
  CheckChurn(facts, watched, report, report);
  CheckLeaks(facts, report);
}

void CheckSourceLimits(const Case& facts, Report& report) {
  std::size_t named = 0;
  for (const SourceCensus& source : facts.census.sources) {
    const Config::Limit* best = nullptr;
    for (const Config::Limit& limit : facts.config.limits) {
      if (limit.source.Contains(source.source) && (best == nullptr || limit.source.length > best->source.length))
        best = &limit;
    }
    if (best == nullptr || best->connections == 0 || named >= kNamedMax) continue;
    const double used = static_cast<double>(source.connections) / best->connections;
    if (used < facts.config.alerts.source_limit_usage.warning) continue;
    Finding finding;
    finding.id = FindingId::kSourceAtLimit;
    finding.title = fmt::format("{} holds {} connections, {} of what the configuration allows",
                                source.source.ToString(), Grouped(source.connections), Percent(used));
    finding.certainty = (used >= 1 ? 0.5 : 0.35) * (facts.IsOfAnother(source.source) ? 0.5 : 1);
    finding.evidence.push_back(fmt::format("`limits` of the configuration: {} connections for {}", best->connections,
                                           best->source.ToString()));
    finding.evidence.push_back(
        "net.netfilter.nf_conntrack_max_per_ip, which some guides name, does not exist in mainline Linux");
    finding.cause = "conntally's own limits only warn; only a rule (connlimit, ct count) turns connections away";
    Fix fix =
        LimitSource(facts, "leak", source.source, fmt::format("ct state new ct count over {} drop", best->connections),
                    "new connections beyond it are dropped");
    finding.fix.push_back(std::move(fix));
    report.findings.push_back(std::move(finding));
    ++named;
  }
}

}  // namespace conntally::diagnose
