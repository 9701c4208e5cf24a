#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {
namespace {

constexpr std::int64_t kStrict = 1;

// The larger of the link's value and the value for all links (Documentation/networking/ip-sysctl.rst).
std::int64_t FilterOf(const Case& facts, const std::string& link) {
  return std::max(facts.Sysctl("net/ipv4/conf/all/rp_filter").value_or(0),
                  facts.Sysctl("net/ipv4/conf/" + link + "/rp_filter").value_or(0));
}

struct Filters {
  std::vector<const Link*> strict;
  std::vector<const Link*> loose;
};

Filters FindFilters(const Case& facts) {
  Filters filters;
  if (!facts.host.links) return filters;
  for (const Link& link : *facts.host.links) {
    const std::int64_t filter = FilterOf(facts, link.name);
    if (link.loopback || !link.up || filter == 0) continue;
    (filter == kStrict ? filters.strict : filters.loose).push_back(&link);
  }
  return filters;
}

std::string Names(const std::vector<const Link*>& links) {
  std::string names;
  for (const Link* link : links) names.append(names.empty() ? "" : ", ").append(link->name);
  return names;
}

struct Suspicion {
  double certainty = 0;
  When when = When::kNow;
  std::vector<std::string> evidence;
  const Link* arrives_by = nullptr;

  void Raise(double to, std::string line) {
    certainty = std::max(certainty, to);
    evidence.push_back(std::move(line));
  }
};

// Whether the log's line is about the source: "martian source 10.0.0.1 from 192.0.2.1, on dev eth0".
bool IsMartianOf(const KernelLogFacts::Line& line, const std::optional<IpAddress>& source) {
  return !source || line.text.find(" from " + source->ToString() + ",") != line.text.npos;
}

void LookAtCounters(const Case& facts, Suspicion& suspicion) {
  const std::uint64_t total = facts.Total("TcpExt.IPReversePathFilter");
  const std::uint64_t growth = facts.Growth("TcpExt.IPReversePathFilter");
  if (total == 0) return;
  const std::string line = fmt::format(
      "{} packets dropped by the reverse path filter since this namespace began, {} of them in the last {} "
      "(IPReversePathFilter)",
      Grouped(total), Grouped(growth), Lasting(facts.ObservedSeconds()));
  if (growth > 0) {
    suspicion.Raise(0.75, line);
  } else if (const bool alone = suspicion.certainty == 0;
             !alone || (total >= 3 && static_cast<double>(total) / facts.host.HoursCounted() >= 1)) {
    if (alone) suspicion.when = When::kPast;
    suspicion.Raise(suspicion.certainty > 0 ? std::min(suspicion.certainty + 0.2, 0.95) : 0.5, line);
  }
}

void LookAtRoute(const Case& facts, const Filters& filters, Suspicion& suspicion) {
  const AskedRoutes& routes = facts.host.routes;
  if (!facts.question.source || routes.source_is_local || !routes.to_source || !*routes.to_source) return;
  const Route& back = **routes.to_source;
  const std::string source = facts.question.source->ToString();
  if (back.kind == Route::Kind::kUnreachable && !(filters.strict.empty() && filters.loose.empty())) {
    suspicion.Raise(0.94, "this host has no route to " + source + ", so whatever comes from there fails the filter");
  } else if (routes.to_destination && *routes.to_destination &&
             (*routes.to_destination)->kind == Route::Kind::kFiltered) {
    suspicion.Raise(0.95, "the kernel's own decision for a packet of " + source + ": it is filtered");
  } else if (const Link* link = facts.host.LinkOf(back.link);
             link != nullptr && back.kind == Route::Kind::kForward && !filters.strict.empty()) {
    // No packet arrives by such a link.
    if (link->kind == "dummy" || link->loopback || !link->carrier) {
      suspicion.Raise(0.7, fmt::format("the way back to {} is {}, by which nothing can arrive", source, link->name));
    }
  }
}

void LookAtWire(const Case& facts, const Filters& filters, Suspicion& suspicion) {
  const AskedRoutes& routes = facts.host.routes;
  if (!facts.watched || !facts.question.source || !routes.to_source || !*routes.to_source) return;
  for (const WatchedFlow& flow : facts.watched->flows) {
    if (flow.source != *facts.question.source || flow.in_link == 0 || flow.in_link == (*routes.to_source)->link)
      continue;
    const Link* link = facts.host.LinkOf(flow.in_link);
    const bool strict =
        link != nullptr && std::find(filters.strict.begin(), filters.strict.end(), link) != filters.strict.end();
    if (!strict || flow.answer == WatchedFlow::Answer::kAccepted) continue;
    const Link* back = facts.host.LinkOf((*routes.to_source)->link);
    suspicion.Raise(0.97, fmt::format("seen on the wire: packets of {} arrive by {}, and the way back is {}",
                                      flow.source.ToString(), link->name, back == nullptr ? "none" : back->name));
    suspicion.arrives_by = link;
    return;
  }
}

void LookAtLog(const Case& facts, Suspicion& suspicion) {
  if (!facts.host.kernel_log) return;
  for (const auto& line : facts.host.kernel_log->martian_sources) {
    // The log is the whole machine's, and other namespaces may have links of the same names: only a hint by itself.
    if (suspicion.certainty == 0 || !IsMartianOf(line, facts.question.source)) continue;
    return suspicion.Raise(std::min(suspicion.certainty + 0.1, 0.97), "the kernel's log: \"" + line.text + "\"");
  }
}

}  // namespace

void CheckReversePath(const Case& facts, Report& report) {
  const bool asked_ipv6 = facts.question.source && facts.question.source->family == Family::kIpv6;
  const Filters filters = FindFilters(facts);
  if (asked_ipv6 || !facts.host.links) return;
  if (!facts.Sysctl("net/ipv4/conf/all/rp_filter")) {
    report.not_checked.push_back({"the reverse path filter", "/proc/sys/net/ipv4/conf/all/rp_filter cannot be read"});
    return;
  }
  const bool loose_matters = !filters.loose.empty();
  if (filters.strict.empty() && !loose_matters) {
    report.checked.push_back("the reverse path filter: off");
    return;
  }
  std::string line = filters.strict.empty() ? "the reverse path filter: loose on " + Names(filters.loose)
                                            : "the reverse path filter: strict on " + Names(filters.strict);
  if (facts.question.source && facts.host.routes.in_link != 0) {
    if (const Link* link = facts.host.LinkOf(facts.host.routes.in_link)) {
      line +=
          fmt::format("; packets of {} pass it if they arrive by {}", facts.question.source->ToString(), link->name);
    }
  }
  report.checked.push_back(std::move(line));

  Suspicion suspicion;
  LookAtRoute(facts, filters, suspicion);
  LookAtWire(facts, filters, suspicion);
  LookAtCounters(facts, suspicion);
  LookAtLog(facts, suspicion);
  if (suspicion.certainty == 0) return;
  Finding finding;
  finding.id = FindingId::kRpFilter;
  finding.title = "The reverse path filter drops packets that arrive by another way than the answer would leave";
  finding.certainty = suspicion.certainty;
  finding.when = suspicion.when;
  finding.evidence = std::move(suspicion.evidence);
  finding.evidence.push_back(filters.strict.empty() ? "loose on " + Names(filters.loose)
                                                    : "strict (1) on " + Names(filters.strict));
  finding.cause =
      "with rp_filter 1 a packet is dropped, silently and before any rule, unless the route to its source is by the "
      "link it came by; with 2, "
      "unless there is any route";
  const Link* link = suspicion.arrives_by != nullptr ? suspicion.arrives_by
                     : !filters.strict.empty()       ? filters.strict.front()
                                                     : nullptr;
  // Of the link alone: the kernel takes the greater value of this and of all.
  if (!filters.strict.empty() && link != nullptr) {
    finding.fix.push_back(SetSysctl(
        facts, "net/ipv4/conf/" + link->name + "/rp_filter", "2",
        "sources that are routed by another link are taken as they come; spoofing from inside is no longer caught"));
  }
  finding.decide =
      "whether answers are to leave by the link that the packets arrive by: then a route to the source by that link "
      "cures it, too";
  report.findings.push_back(std::move(finding));
}

}  // namespace conntally::diagnose
