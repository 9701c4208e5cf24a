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

// The forwarding sysctl for packets that arrive by the link; for all links if the link is unknown.
std::string SwitchPath(const Case& facts, bool ipv6, bool of_link) {
  const Link* link = of_link ? facts.host.LinkOf(facts.host.routes.in_link) : nullptr;
  if (link != nullptr) return fmt::format("net/ipv{}/conf/{}/forwarding", ipv6 ? 6 : 4, link->name);
  return ipv6 ? "net/ipv6/conf/all/forwarding" : "net/ipv4/ip_forward";
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

// What makes the host forward this traffic, and no more of it than is needed where that is known. IPv4 asks the link
// that a packet arrives by (ip_route_input_slow), IPv6 the whole host as well.
Fix Switch(const Case& facts, const std::string& path) {
  const bool ipv6 = path.starts_with("net/ipv6/");
  const std::string whole = SwitchPath(facts, ipv6, false);
  const Link* out = facts.host.LinkOf(facts.host.routes.out_link);
  const Link* in = facts.host.LinkOf(facts.host.routes.in_link);
  if (facts.Sysctl(whole).value_or(0) != 0)
    return SetSysctl(facts, path, "1", "the link forwards whatever the rules let through");
  if (!ipv6 && in != nullptr && out != nullptr && in != out) {
    Fix fix = SetSysctl(
        facts, path, "1",
        fmt::format("{} and {} forward whatever the rules let through; no other link does", in->name, out->name));
    const Fix answers = SetSysctl(facts, fmt::format("net/ipv4/conf/{}/forwarding", out->name), "1", "");
    fix.command += " && " + answers.command;
    if (!answers.undo.empty()) fix.undo += " && " + answers.undo;
    fix.persist += "; " + answers.persist;
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

void AddForwardingOff(const Case& facts, const std::string& path, double certainty, std::vector<std::string> evidence,
                      Report& report) {
  Finding finding;
  finding.id = FindingId::kForwardingOff;
  finding.title = "This host does not forward packets: " + path.substr(path.rfind('/') + 1) + " is 0";
  finding.certainty = certainty;
  finding.evidence.push_back(fmt::format("/proc/sys/{} is 0", path));
  for (std::string& line : evidence) finding.evidence.push_back(std::move(line));
  if (const auto refused = facts.Growth("Ip.InAddrErrors"); refused > 0) {
    finding.evidence.push_back(fmt::format("{} packets for others were refused in the last {} (InAddrErrors)",
                                           Grouped(refused), Lasting(facts.ObservedSeconds())));
  }
  finding.cause =
      "a packet for another host that arrives here is dropped before the forward hook, whatever the rules say; the "
      "sender hears at most "
      "\"host unreachable\"";
  finding.fix.push_back(Switch(facts, path));
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
bool CheckRoute(const Case& facts, bool forwards, const std::string& path, Report& report) {
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
  if (!routes.destination_is_local && facts.question.source && !routes.source_is_local && !forwards) {
    std::vector<std::string> evidence = {facts.question.destination->ToString() + " is no address of this host"};
    if (routes.in_link != 0)
      evidence.push_back(
          fmt::format("packets of {} arrive by {}", facts.question.source->ToString(), Name(facts, routes.in_link)));
    if (route->error == EHOSTUNREACH) evidence.push_back("the kernel's answer for such a packet: host unreachable");
    AddForwardingOff(facts, path, 0.97, std::move(evidence), report);
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
  std::string path = SwitchPath(facts, ipv6, true);
  // Without the link's own setting, that of the whole host.
  if (!facts.Sysctl(path)) path = SwitchPath(facts, ipv6, false);
  const auto value = facts.Sysctl(path);
  if (!value) {
    report.not_checked.push_back({"forwarding", "/proc/sys/" + path + " cannot be read"});
    return;
  }
  report.checked.push_back(fmt::format("forwarding: /proc/sys/{} is {}", path, *value));
  const bool told = !CheckRoute(facts, *value != 0, path, report);

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
    const std::string whole = SwitchPath(facts, version6, false);
    const bool other_family = (facts.question.source || facts.question.destination) && version6 != ipv6;
    if (other_family || facts.Sysctl(whole).value_or(1) != 0) continue;
    if (facts.outcome.sent_elsewhere && version6 == ipv6) {
      AddForwardingOff(facts, whole, 0.9, {"a rule translates the destination to another host"}, report);
    } else if (const Rule* rule = FindGatewayRule(facts, version6);
               rule != nullptr && !facts.question.destination_port) {
      AddForwardingOff(facts, whole, 0.5,
                       {fmt::format("but a rule translates for others: `{}` in chain {}", rule->text, rule->chain)},
                       report);
    }
  }
}

}  // namespace conntally::diagnose
