// Whose is the address in question: this host's, a host's behind it, or nobody's? And does that host answer? The rules
// matter only if some host has the address.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>

#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {

void AddUnreached(const Case& facts, std::string title, double certainty, std::vector<std::string> evidence,
                  std::string cause, std::string decide, Report& report) {
  Finding finding;
  finding.id = FindingId::kNoRoute;
  finding.title = std::move(title);
  finding.certainty = certainty;
  finding.evidence = std::move(evidence);
  finding.cause = std::move(cause);
  finding.decide = std::move(decide);
  facts.HoldAgainstRules(finding);
  report.findings.push_back(std::move(finding));
}

namespace {

// Names of links on which IPv6 is off.
std::vector<std::string> WithoutIpv6(const Case& facts) {
  std::vector<std::string> names;
  if (!facts.host.links) return names;
  for (const Link& link : *facts.host.links) {
    const auto off = facts.Sysctl("net/ipv6/conf/" + link.name + "/disable_ipv6").value_or(0);
    if (off != 0 && link.up && !link.loopback) names.push_back(link.name);
  }
  return names;
}

bool TellIpv6IsOff(const Case& facts, const IpAddress& asked, Report& report) {
  const AskedRoutes& routes = facts.host.routes;
  const auto& route = asked == facts.question.destination ? routes.to_destination : routes.to_source;
  const bool leads = route && *route && (*route)->kind == Route::Kind::kForward && asked != facts.question.destination;
  const std::vector<std::string> off = WithoutIpv6(facts);
  if (asked.family != Family::kIpv6 || leads || off.empty()) return false;
  std::string where;
  for (const std::string& name : off) where += (where.empty() ? "" : ", ") + name;
  AddUnreached(facts, fmt::format("{} is no address of this host: IPv6 is disabled on {}", asked.ToString(), where),
               0.92, {fmt::format("net.ipv6.conf.{}.disable_ipv6 is 1", off.front())},
               "where it is disabled a link has no IPv6 address, and nothing that comes by IPv6 is taken", "", report);
  report.findings.back().fix.push_back(SetSysctl(facts, "net/ipv6/conf/" + off.front() + "/disable_ipv6", "0",
                                                 "the link takes and sends IPv6: its addresses have to be given anew"));
  return true;
}

// Both are neighbours on one link: the packet does not pass this host, unless it crosses a bridge of this host.
void TellOfOneNetwork(const Case& facts, const IpAddress& asked, Report& report) {
  const Link* link = facts.host.LinkOf(facts.host.routes.in_link);
  const Neighbour* neighbour = facts.host.NeighbourOf(asked);
  const std::string name = link != nullptr ? link->name : "one link";
  const bool is_there = neighbour != nullptr && neighbour->answers;
  if (facts.host.routes.bridged || is_there) {
    report.checked.push_back(
        fmt::format("whose address {} is: a neighbour's by {}, as the source: nothing of it is "
                    "routed here{}",
                    asked.ToString(), name, facts.host.routes.bridged ? ", but bridged" : ""));
    return;
  }
  std::vector<std::string> evidence = {asked.ToString() + " is no address of this host",
                                       fmt::format("it is of the network of {}, and so is the source", name)};
  if (neighbour != nullptr && neighbour->failed)
    evidence.push_back(
        fmt::format("this host asked for it by {} (ARP or neighbour discovery), and nobody answers", name));
  AddUnreached(
      facts, fmt::format("{} is no address of this host, and of no neighbour that it knows", asked.ToString()),
      neighbour != nullptr ? 0.95 : 0.9, std::move(evidence),
      "an address that moved (a VIP after a fail-over, an interface that is gone) is answered by whoever has it now; "
      "where nobody has it, packets for it end at the sender's own link",
      "which host is to have the address: `ip address show` there, or keepalived's state", report);
}

// The next hop does not answer ARP or neighbour discovery, or its link has no carrier.
bool TellUnanswered(const Case& facts, const IpAddress& asked, const Route& route, Report& report) {
  if (route.kind != Route::Kind::kForward) return false;
  const Link* link = facts.host.LinkOf(route.link);
  if (link == nullptr) return false;
  const IpAddress next = route.gateway.value_or(asked);
  const Neighbour* neighbour = facts.host.NeighbourOf(next);
  const bool dead = link->up && !link->carrier && link->kind != "dummy" && !link->loopback;
  if (dead) {
    AddUnreached(facts, fmt::format("The way to {} is {}, which has no carrier", asked.ToString(), link->name), 0.95,
                 {fmt::format("link {} is up, and its other end is not (NO-CARRIER)", link->name)},
                 "nothing leaves by such a link: a cable, a port of a switch, or a guest's own interface is down",
                 fmt::format("why the other end of {} is down: `ip -d link show {}`", link->name, link->name), report);
    return true;
  }
  if (neighbour == nullptr || !neighbour->failed || neighbour->link != route.link) return false;
  // A rule that stops neighbour discovery, or the packets themselves, is reported first: it may be the cause of this.
  const bool stopped = std::any_of(report.findings.begin(), report.findings.end(), [](const Finding& each) {
    return each.rule.has_value() || each.policy.has_value();
  });
  AddUnreached(
      facts, fmt::format("Nobody answers for {} on {}", next.ToString(), link->name), stopped ? 0.6 : 0.94,
      {fmt::format("neighbour {} by {}: it was asked for, and does not answer (ARP or neighbour discovery)",
                   next.ToString(), link->name)},
      "without its link address no packet can be sent to it: the host is down, has another address, or is in another "
      "network; the sender is told \"No route to host\" after some seconds",
      fmt::format("whether {} is up and has that address: `ip neigh show {}`", next.ToString(), next.ToString()),
      report);
  return true;
}

// Rules send the traffic in question to another host, which must exist and answer.
void CheckTranslatedTo(const Case& facts, const TranslatedTo& to, Report& report) {
  const std::size_t before = report.findings.size();
  if (to.route.kind == Route::Kind::kUnreachable) {
    AddUnreached(facts, fmt::format("No route to {}, where a rule sends this traffic", to.address.ToString()), 0.95,
                 {fmt::format("the kernel's answer for {}: {}", to.address.ToString(), std::strerror(to.route.error))},
                 "the packet passes the rules, and then has nowhere to go",
                 "whether the rule is to name another host, or a route to this one is missing: `ip route get " +
                     to.address.ToString() + "`",
                 report);
  } else {
    TellUnanswered(facts, to.address, to.route, report);
  }
  if (report.findings.size() > before)
    report.findings.back().evidence.push_back("a rule translates the asked traffic to it: " + to.rule);
}

}  // namespace

void CheckWhoseAddress(const Case& facts, Report& report) {
  const AskedRoutes& routes = facts.host.routes;
  if (!facts.host.addresses || !facts.host.links) return;
  const auto& asked = facts.question.destination;
  if (facts.question.source && !routes.source_is_local && routes.to_source && *routes.to_source &&
      TellUnanswered(facts, *facts.question.source, **routes.to_source, report))
    return;
  if (facts.outcome.translated_to) return CheckTranslatedTo(facts, *facts.outcome.translated_to, report);
  if (!asked || routes.destination_is_local || facts.outcome.destination_translated) return;
  if (TellIpv6IsOff(facts, *asked, report)) return;
  if (routes.same_network) return TellOfOneNetwork(facts, *asked, report);
  if (routes.to_destination && *routes.to_destination) TellUnanswered(facts, *asked, **routes.to_destination, report);
}

}  // namespace conntally::diagnose
