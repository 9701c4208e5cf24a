#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>

#include "daemon/diagnose/facts/refusal.h"
#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {
namespace {

bool AskedIpv6(const Case& facts) {
  const auto& address = facts.question.destination ? facts.question.destination : facts.question.source;
  return address && address->family == Family::kIpv6;
}

std::string WholeSwitch(bool ipv6) { return ipv6 ? "net/ipv6/conf/all/forwarding" : "net/ipv4/ip_forward"; }

std::string SwitchOf(const std::string& link, bool ipv6) {
  return ipv6 ? "net/ipv6/conf/" + link + "/force_forwarding" : "net/ipv4/conf/" + link + "/forwarding";
}

// Whether some link forwards what it brings by a switch of its own.
bool AnyForwards(const Case& facts, bool ipv6) {
  const auto& links = facts.host.links;
  return links && std::any_of(links->begin(), links->end(), [&](const Link& link) {
           return !link.loopback && facts.Sysctl(SwitchOf(link.name, ipv6)).value_or(0) != 0;
         });
}

// The switch that decides whether packets that arrive by the link are forwarded; that of all links if the link is
// unknown. IPv4 asks the link (ip_route_input_slow). IPv6 asks the whole host, and no link's `forwarding`; only where
// that is 0, newer kernels ask the link's force_forwarding (ip6_forward), which is named where it is in use.
std::string SwitchPath(const Case& facts, bool ipv6, std::uint32_t in_link) {
  const std::string whole = WholeSwitch(ipv6);
  const Link* link = facts.host.LinkOf(in_link);
  if (link == nullptr) return whole;
  const std::string own = SwitchOf(link->name, ipv6);
  const bool whole_decides = ipv6 && (facts.Sysctl(whole).value_or(0) != 0 || !AnyForwards(facts, ipv6));
  return whole_decides || !facts.Sysctl(own) ? whole : own;
}

// Which switches keep the traffic in question from being forwarded: of requests, then of their answers.
struct Switches {
  std::string requests;
  std::string answers;
  bool requests_off = false;
  bool answers_off = false;

  std::vector<std::string> Off() const {
    std::vector<std::string> off;
    if (requests_off) off.push_back(requests);
    if (answers_off && answers != requests) off.push_back(answers);
    return off;
  }
};

Switches FindSwitches(const Case& facts, bool ipv6) {
  const AskedRoutes& routes = facts.host.routes;
  // By which link answers arrive is known only with that to the destination.
  const auto& on = routes.to_destination;
  const std::uint32_t out_link = on && *on && (*on)->link != 0 ? (*on)->link : routes.out_link;
  Switches switches{SwitchPath(facts, ipv6, routes.in_link), SwitchPath(facts, ipv6, out_link)};
  switches.requests_off = facts.Sysctl(switches.requests).value_or(1) == 0;
  switches.answers_off = out_link != 0 && facts.Sysctl(switches.answers).value_or(1) == 0;
  return switches;
}

// A rule that only makes sense where packets are forwarded.
const Rule* FindGatewayRule(const Case& facts, bool ipv6) {
  for (const auto& [backend, read] : facts.rules.backends) {
    if (!read.present || !read.ruleset) continue;
    for (const Rule& rule : read.ruleset->rules) {
      const bool of_family =
          rule.family == RuleFamily::kInet || rule.family == (ipv6 ? RuleFamily::kIp6 : RuleFamily::kIp);
      if (rule.verdict != Verdict::kNat || !of_family) continue;
      const bool of_source =
          rule.nat && (rule.nat->kind == NatTarget::Kind::kMasquerade || rule.nat->kind == NatTarget::Kind::kSource);
      if (of_source) return &rule;
    }
  }
  return nullptr;
}

// What makes the host forward this traffic, and no more of it than is needed where that is known.
Fix Switch(const Case& facts, bool ipv6, const std::vector<std::string>& off) {
  const std::string whole = WholeSwitch(ipv6);
  const Link* out = facts.host.LinkOf(facts.host.routes.out_link);
  const bool by_link = std::find(off.begin(), off.end(), whole) == off.end() &&
                       (out != nullptr || ipv6 || facts.Sysctl(whole).value_or(0) != 0);
  if (by_link) {
    Fix fix;
    for (const std::string& path : off)
      fix.Append(SetSysctl(facts, path, "1", "what comes by such a link is forwarded, whatever the rules let through"));
    return fix;
  }
  Fix fix = SetSysctl(
      facts, whole, "1",
      ipv6 ? "every link forwards what the rules let through, and router advertisements are no longer accepted"
           : "every link forwards whatever the rules let through; be sure of the forward chain first");
  // The kernel writes its value to every link: the undo gives theirs back to those that had another.
  const std::string folder = ipv6 ? "net/ipv6/conf/" : "net/ipv4/conf/";
  for (const auto& [link, value] : facts.host.sysctls) {
    const bool own = link.starts_with(folder) && link.ends_with("/forwarding") && link != folder + "all/forwarding";
    if (own && NumberOf(facts.host.sysctls, link).value_or(0) != 0)
      fix.undo += " && " + SetSysctl(facts, link, value, "").command;
  }
  return fix;
}

void AddForwardingOff(const Case& facts, bool ipv6, const std::vector<std::string>& off, double certainty,
                      std::vector<std::string> evidence, Report& report) {
  Finding finding;
  finding.id = FindingId::kForwardingOff;
  const std::string& path = off.front();
  finding.title = "This host does not forward packets: " + path.substr(path.rfind('/') + 1) + " is 0";
  finding.certainty = certainty;
  for (const std::string& each : off) finding.evidence.push_back(fmt::format("/proc/sys/{} is 0", each));
  for (std::string& line : evidence) finding.evidence.push_back(std::move(line));
  if (const auto refused = facts.Growth("Ip.InAddrErrors"); refused > 0) {
    finding.evidence.push_back(fmt::format("{} packets for others were refused in the last {} (InAddrErrors)",
                                           Grouped(refused), Lasting(facts.ObservedSeconds())));
  }
  finding.cause =
      "a packet for another host that arrives here is dropped before the forward hook, whatever the rules say; the "
      "sender hears at most "
      "\"host unreachable\"";
  finding.fix.push_back(Switch(facts, ipv6, off));
  facts.HoldAgainstRules(finding);
  report.findings.push_back(std::move(finding));
}

void AddNoRoute(const Case& facts, const RouteQuestion& way, int error, bool back, Report& report) {
  const IpAddress& to = way.destination;
  Finding finding;
  finding.id = FindingId::kNoRoute;
  finding.title = fmt::format("This host has no route {}to {}", back ? "back " : "", to.ToString());
  finding.certainty = back ? 0.93 : 0.96;
  finding.evidence.push_back(fmt::format("the kernel's answer: {}", std::strerror(error)));
  finding.cause = back ? "requests may arrive, but their answers cannot be sent" : "there is no way on for the packet";
  // The routes of a link go with it when it is set down.
  if (const Link* link = facts.host.LinkTo(to); link != nullptr && !link->up) {
    finding.evidence.push_back(fmt::format("it is of the network of {}, and that link is down", link->name));
    finding.decide = fmt::format("whether {} is to be up: `ip link set {} up`", link->name, link->name);
    if (!back) facts.HoldAgainstRules(finding);
    report.findings.push_back(std::move(finding));
    return;
  }
  const auto refusal = FindRefusal(facts.host, way);
  if (refusal && error != ENETUNREACH) {
    finding.evidence.push_back("it is blocked on purpose by " + refusal->what);
    if (refusal->pass.empty()) {
      finding.decide =
          fmt::format("whether it is still wanted: it covers more than was asked about (`{}`)", refusal->remove);
    } else {
      finding.fix.push_back({refusal->pass, "what was asked about is reachable again, and was banned on purpose",
                             refusal->undo, "change it where the network is configured, too"});
    }
    finding.certainty = 0.97;
    if (!back) facts.HoldAgainstRules(finding);
    report.findings.push_back(std::move(finding));
    return;
  }
  // fib_props (net/ipv4/fib_semantics.c): only without any route it is ENETUNREACH.
  finding.decide = error == ENETUNREACH
                       ? "by which gateway and link " + to.ToString() +
                             " is reached: then `ip route add`, and the network's configuration to keep it"
                       : "whether the route that says so is still wanted (`ip route show table all type blackhole`, "
                         "and types unreachable and prohibit): then `ip route del`";
  if (!back) facts.HoldAgainstRules(finding);
  report.findings.push_back(std::move(finding));
}

std::string Name(const Case& facts, std::uint32_t link) {
  const Link* found = facts.host.LinkOf(link);
  return found == nullptr ? fmt::format("link {}", link) : found->name;
}

bool HasLinks(const Case& facts) {
  return facts.host.links && std::any_of(facts.host.links->begin(), facts.host.links->end(),
                                         [](const Link& link) { return link.up && !link.loopback; });
}

// Checks the route of the packet in question; false after reporting that there is none.
bool CheckRoute(const Case& facts, bool ipv6, const Switches& switches, Report& report) {
  const AskedRoutes& routes = facts.host.routes;
  if (!routes.to_destination || !facts.question.destination) return true;
  const auto& route = *routes.to_destination;
  if (!route) {
    report.not_checked.push_back({"the route to " + facts.question.destination->ToString(), route.error().message});
    return true;
  }
  // A packet that is translated, marked or taken over before routing does not go to the destination asked about.
  const auto& marked = facts.outcome.marked_route;
  const RuleOutcome& outcome = facts.outcome;
  const auto marked_way = [&](Route::Kind kind) { return marked && marked->route.kind == kind; };
  const bool arrives = !routes.source_is_local;
  if (arrives && (outcome.way_open || marked_way(Route::Kind::kLocal) ||
                  (outcome.destination_translated && !outcome.sent_elsewhere)))
    return true;
  if (!routes.destination_is_local && facts.question.source && !routes.source_is_local && switches.requests_off) {
    std::vector<std::string> evidence = {facts.question.destination->ToString() + " is no address of this host"};
    if (routes.in_link != 0)
      evidence.push_back(
          fmt::format("packets of {} arrive by {}", facts.question.source->ToString(), Name(facts, routes.in_link)));
    if (route->error == EHOSTUNREACH) evidence.push_back("the kernel's answer for such a packet: host unreachable");
    AddForwardingOff(facts, ipv6, switches.Off(), 0.97, std::move(evidence), report);
    return false;
  }
  if (arrives && (outcome.destination_translated || marked_way(Route::Kind::kForward))) return true;
  if (route->kind == Route::Kind::kUnreachable && !routes.destination_is_local) {
    AddNoRoute(facts, {*facts.question.destination, facts.question.source, routes.in_link}, route->error, false,
               report);
    return false;
  }
  if (marked && marked->route.kind == Route::Kind::kUnreachable) {
    AddNoRoute(facts, marked->question, marked->route.error, false, report);
    report.findings.back().evidence.push_back(
        fmt::format("rules give the packet the mark {:#x}, by which it is routed", marked->question.mark));
    return false;
  }
  if (!routes.destination_is_local && facts.question.source && !routes.source_is_local && switches.answers_off &&
      route->kind == Route::Kind::kForward) {
    const std::string by = Name(facts, route->link);
    AddForwardingOff(facts, ipv6, {switches.answers}, 0.9,
                     {fmt::format("answers of {} arrive by {}, which forwards nothing that it brings",
                                  facts.question.destination->ToString(), by)},
                     report);
    report.findings.back().title = "This host does not forward the answers: " + by + " forwards nothing";
    return false;
  }
  if (route->kind == Route::Kind::kForward) {
    report.checked.push_back(fmt::format("the way to {}: out by {}{}", facts.question.destination->ToString(),
                                         Name(facts, route->link),
                                         route->gateway ? ", via " + route->gateway->ToString() : ""));
  }
  return true;
}

}  // namespace

void CheckForwarding(const Case& facts, Report& report) {
  const AskedRoutes& routes = facts.host.routes;
  if (!facts.host.addresses && facts.question.destination) {
    report.not_checked.push_back(
        {"forwarding", "which addresses are this host's is not known: " + facts.host.addresses.error().message});
    return;
  }
  if (report.Has(FindingId::kNoRoute) || routes.same_network) return;  // this host does not forward it
  const bool ipv6 = AskedIpv6(facts);
  const Switches switches = FindSwitches(facts, ipv6);
  const auto value = facts.Sysctl(switches.requests);
  if (!value) {
    report.not_checked.push_back({"forwarding", "/proc/sys/" + switches.requests + " cannot be read"});
    return;
  }
  report.checked.push_back(fmt::format("forwarding: /proc/sys/{} is {}", switches.requests, *value));
  const bool told = !CheckRoute(facts, ipv6, switches, report);

  // No route back: with a reverse path filter the packet does not even get in, which that check reports.
  if (!told && routes.to_source && *routes.to_source && (*routes.to_source)->kind == Route::Kind::kUnreachable) {
    const bool filtered = report.Has(FindingId::kRpFilter);
    // A host without links to others has no routes anyway.
    if (!filtered && HasLinks(facts))
      AddNoRoute(facts, {*facts.question.source}, (*routes.to_source)->error, true, report);
  }
  const bool asked_elsewhere =
      facts.question.destination && (!routes.destination_is_local || !facts.outcome.sent_elsewhere);
  if (asked_elsewhere || told) return;
  for (const bool version6 : {false, true}) {
    const bool other_family = (facts.question.source || facts.question.destination) && version6 != ipv6;
    // Some links may forward where it is off for the whole host.
    const std::string path = SwitchPath(facts, version6, routes.in_link);
    const bool by_another = routes.in_link == 0 && AnyForwards(facts, version6);
    if (other_family || by_another || facts.Sysctl(path).value_or(1) != 0) continue;
    if (facts.outcome.sent_elsewhere && version6 == ipv6) {
      AddForwardingOff(facts, version6, {path}, 0.9, {"a rule translates the destination to another host"}, report);
    } else if (const Rule* rule = FindGatewayRule(facts, version6);
               rule != nullptr && !facts.question.destination_port) {
      AddForwardingOff(facts, version6, {path}, 0.5,
                       {fmt::format("but a rule translates for others: `{}` in chain {}", rule->text, rule->chain)},
                       report);
    }
  }
}

}  // namespace conntally::diagnose
