// This host has the address in question, and yet what is sent to it does not arrive: the kernel does not answer for it
// on the link (ARP, neighbour discovery), does not deliver to it, or takes its packets for forged ones.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {
namespace {

constexpr double kOneOfSeveral = 0.5;  // which of the host's addresses is asked for is not known

std::string NameOfLink(const Case& facts, std::uint32_t index) {
  const Link* link = facts.host.LinkOf(index);
  return link == nullptr ? fmt::format("link {}", index) : link->name;
}

bool IsSeenToArrive(const Case& facts) {
  return facts.watched && std::any_of(facts.watched->flows.begin(), facts.watched->flows.end(),
                                      [](const WatchedFlow& flow) { return flow.in_link != 0; });
}

// Duplicate address detection (RFC 4862) has found another host with it, or has not ended.
void CheckDuplicates(const Case& facts, const std::vector<LocalAddress>& asked, Report& report) {
  for (const LocalAddress& each : asked) {
    if (!each.duplicate && !each.tentative) continue;
    const std::string address = each.address.ToString(), link = NameOfLink(facts, each.link);
    const char* state = each.duplicate ? "dadfailed" : "tentative";
    const double certainty = asked.size() > 1 ? kOneOfSeveral : each.duplicate ? 0.95 : 0.7;
    AddUnreached(
        facts,
        each.duplicate
            ? fmt::format("Another host had {} when {} was given it, so this host does not use it", address, link)
            : fmt::format("{} is not in use yet: whether another host on {} has it is not known", address, link),
        certainty, {fmt::format("ip -6 address show dev {}: {} is {}", link, address, state)},
        "the kernel answers no neighbour discovery for such an address: nothing that is sent to it arrives",
        each.duplicate
            ? fmt::format("which host is to have it; when no other has it any more, give it anew: `ip address del "
                          "{0}/{1} dev {2} && ip address add {0}/{1} dev {2}`",
                          address, each.prefix_length, link)
            : fmt::format("why duplicate address detection does not end, if it lasts: is the other end of {} up?",
                          link),
        report);
    return;
  }
}

// No route of type local: what is sent to the address is routed on, or refused.
void CheckDelivery(const Case& facts, const std::vector<LocalAddress>& asked, Report& report) {
  const auto& undelivered = facts.host.routes.undelivered;
  if (undelivered.empty() || facts.outcome.destination_translated || facts.outcome.way_open) return;
  const LocalAddress& each = undelivered.front();
  if (each.duplicate || each.tentative) return;  // the kernel has not added the route
  const std::string address = each.address.ToString(), link = NameOfLink(facts, each.link);
  const bool several = undelivered.size() < asked.size();
  AddUnreached(facts, fmt::format("{} is this host's, and no route delivers to it", address),
               several ? kOneOfSeveral : 0.95,
               {fmt::format("{} is an address of {}", address, link),
                "the kernel's own decision for a packet to it: it is not for this host"},
               "a packet is for this host only by a route of type local, which the kernel adds with the address, and "
               "which somebody has deleted since, or a rule of `ip rule` leads past it",
               "", report);
  Fix fix;
  fix.command = fmt::format("ip route add local {} dev {} table local", address, link);
  fix.risk = "packets to it are delivered here, as with every address of this host";
  fix.undo = fmt::format("ip route del local {} dev {} table local", address, link);
  fix.persist = "whatever deletes the route has to leave it";
  report.findings.back().fix.push_back(std::move(fix));
}

// What arp_ignore keeps from being answered on the link that the packets would come by (arp_ignore in net/ipv4/arp.c).
void CheckArpIgnore(const Case& facts, Report& report) {
  const AskedRoutes& routes = facts.host.routes;
  const auto& source = facts.question.source;
  const Link* link = facts.host.LinkOf(routes.in_link);
  if (!source || source->family != Family::kIpv4 || link == nullptr || !link->asks_neighbours || IsSeenToArrive(facts))
    return;
  const std::string all = "net/ipv4/conf/all/arp_ignore", own = "net/ipv4/conf/" + link->name + "/arp_ignore";
  const std::int64_t of_all = facts.Sysctl(all).value_or(0), of_link = facts.Sysctl(own).value_or(0);
  const std::int64_t value = std::max(of_all, of_link);
  // 1 and 2: for no address of another link. A real server of LVS is set so on purpose.
  const auto& to = facts.question.destination;
  const bool of_another_link =
      to && routes.destination_is_local && facts.host.LinkTo(*source) == link && facts.host.LinkTo(*to) == link &&
      std::none_of(facts.host.addresses->begin(), facts.host.addresses->end(),
                   [&](const LocalAddress& each) { return each.address == *to && each.link == link->index; });
  const bool none = value == 8;
  if (!none && !(facts.watched && (value == 1 || value == 2) && of_another_link)) return;
  const std::string path = of_all == value ? all : own;
  AddUnreached(facts,
               none ? fmt::format("This host answers no ARP on {}: arp_ignore is 8", link->name)
                    : fmt::format("This host does not answer ARP for {} on {}: arp_ignore is {}", to->ToString(),
                                  link->name, value),
               none ? 0.85 : 0.5, {fmt::format("/proc/sys/{} is {}", path, value)},
               "neighbours that do not learn this host's link address can send nothing to it; those that know it from "
               "before, or by a permanent entry, still can",
               none ? "" : "whether another host answers for it on purpose (a director of LVS)", report);
  // The kernel takes the greater of the two.
  Fix fix;
  for (const std::string& each : {all, own}) {
    if (facts.Sysctl(each) == value)
      fix.Append(SetSysctl(facts, each, "0", "this host answers for each address that it has, on every link of it"));
  }
  if (none) report.findings.back().fix.push_back(std::move(fix));
}

// Another host sends from an address of this one.
void CheckForged(const Case& facts, Report& report) {
  const auto& source = facts.question.source;
  if (!source || !facts.host.routes.source_is_local || !facts.watched || IsLoopback(*source)) return;
  for (const WatchedFlow& flow : facts.watched->flows) {
    const Link* link = facts.host.LinkOf(flow.in_link);
    if (link == nullptr || link->loopback || flow.source != *source || !facts.watched->IsUnanswered(flow)) continue;
    const bool ipv4 = source->family == Family::kIpv4;
    AddUnreached(facts,
                 fmt::format("Packets of {} come from outside by {}, and {} is this host's own address",
                             source->ToString(), link->name, source->ToString()),
                 0.95,
                 {fmt::format("seen on the wire: a packet from {} arrived by {}", source->ToString(), link->name)},
                 ipv4 ? "the kernel drops it as a martian source, silently and before any rule of the input or forward "
                        "hook"
                      : "answers to it do not leave this host",
                 "which host is to have the address; the other one needs one of its own", report);
    if (ipv4) report.findings.back().id = FindingId::kRpFilter;
    return;
  }
}

// Source and destination are of one network to the source, which asks for the destination by ARP; but it is behind
// another link of this host.
void CheckProxyArp(const Case& facts, Report& report) {
  const AskedRoutes& routes = facts.host.routes;
  const Question& question = facts.question;
  // Unwatched nobody can say: the source may have a route by this host.
  if (!facts.watched || !question.source || !question.destination || routes.destination_is_local ||
      routes.source_is_local)
    return;
  const Link* link = facts.host.LinkOf(routes.in_link);
  const auto &back = routes.to_source, &on = routes.to_destination;
  const bool behind_another = back && *back && !(*back)->gateway && on && *on && (*on)->kind == Route::Kind::kForward &&
                              (*on)->link != routes.in_link;
  if (link == nullptr || !link->asks_neighbours || !behind_another || question.source->family != Family::kIpv4 ||
      facts.host.LinkTo(*question.destination) != link || facts.host.LinkTo(*question.source) != link)
    return;
  const auto setting = [&](const std::string& of) { return facts.Sysctl("net/ipv4/conf/" + of + "/proxy_arp"); };
  if (setting("all").value_or(1) != 0 || setting(link->name).value_or(1) != 0 || IsSeenToArrive(facts)) return;
  const std::string to = question.destination->ToString();
  AddUnreached(
      facts, fmt::format("Nobody answers ARP for {} on {}: proxy_arp is 0", to, link->name), 0.8,
      {fmt::format("{} is of the network of {}, as is {}, but behind {}", to, link->name, question.source->ToString(),
                   NameOfLink(facts, (*on)->link)),
       fmt::format("net.ipv4.conf.{}.proxy_arp is 0", link->name)},
      "a host asks by ARP for what is of its own network; only with proxy_arp does this host answer for what it "
      "has behind another link, unless the source has a route by this host",
      "", report);
  report.findings.back().fix.push_back(
      SetSysctl(facts, "net/ipv4/conf/" + link->name + "/proxy_arp", "1",
                "this host answers ARP on that link for all that it reaches by others"));
}

}  // namespace

void CheckOwnAddress(const Case& facts, Report& report) {
  if (!facts.host.addresses || !facts.host.links) return;
  const std::vector<LocalAddress> asked = facts.host.AskedAddresses(facts.question, facts.host.routes);
  CheckDuplicates(facts, asked, report);
  CheckDelivery(facts, asked, report);
  CheckArpIgnore(facts, report);
  CheckForged(facts, report);
  CheckProxyArp(facts, report);
}

}  // namespace conntally::diagnose
