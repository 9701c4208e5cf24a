// IPv6's neighbour discovery through the rules. Conntrack leaves it untracked, so "established" accepts none of it;
// where it is stopped, nothing IPv6 gets through once what neighbours know of each other has expired, though every port
// seems open.
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

// Discovery from, or to, the source's side. The source is the neighbour itself only if there is no router in between.
AskedPacket Discovery(const RuleCase& rules, const Link& link, bool leaves, std::uint8_t type) {
  AskedPacket asked;
  asked.leaves = leaves;
  Packet& packet = asked.packet;
  packet.family = Family::kIpv6;
  packet.protocol = IPPROTO_ICMPV6;
  packet.icmp_type = type;
  packet.icmp_code = 0;
  packet.state = kStateUntracked;
  packet.reverse_path = true;
  (leaves ? packet.out : packet.in) = InterfaceOf(link);
  packet.source_is_local = leaves;
  packet.destination_is_local = !leaves;
  const auto& back = rules.inputs.host.routes.to_source;
  const bool neighbour = back && *back && !(*back)->gateway;
  if (neighbour) (leaves ? packet.destination : packet.source) = rules.inputs.question.source;
  return asked;
}

// The neighbour in the exchange: the source, or the router before it.
std::vector<IpAddress> Neighbours(const RuleCase& rules) {
  const auto& back = rules.inputs.host.routes.to_source;
  const IpAddress neighbour = back && *back && (*back)->gateway ? *(*back)->gateway : *rules.inputs.question.source;
  return IsOfLinkAlone(neighbour) ? std::vector<IpAddress>() : std::vector{neighbour};
}

void Tell(const RuleCase& rules, const Decision& stop, const char* what, const Link& link, bool leaves,
          Report& report) {
  Packet taken;
  taken.family = Family::kIpv6;
  Finding finding = StoppedBy(rules, stop, taken, 0.9);
  finding.title = fmt::format("The neighbour discovery that IPv6 needs is stopped: neighbour {}s {}", what,
                              leaves ? "may not leave" : "are not let in");
  finding.cause =
      "neighbours find each other's link addresses by ICMPv6, which conntrack does not track, so no rule for "
      "established connections accepts it; "
      "without it nothing IPv6 passes once what they know of each other has expired";
  finding.fix.clear();
  finding.decide.clear();
  if (auto accept = rules.commands.AcceptDiscovery(stop, link.name, leaves, Neighbours(rules))) {
    finding.fix.push_back(*std::move(accept));
  } else {
    finding.decide = "how neighbour discovery passes " + rules.Place(stop) +
                     "; no command is offered for that: " + accept.error().message;
  }
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckNeighbours(const RuleCase& rules, Report& report) {
  const Question& question = rules.inputs.question;
  const bool of_ipv6 = question.source && question.source->family == Family::kIpv6;
  const Link* link = rules.inputs.host.LinkOf(rules.inputs.host.routes.in_link);
  if (!of_ipv6 || link == nullptr || link->loopback || rules.inputs.host.routes.source_is_local) return;
  for (const bool leaves : {false, true}) {
    for (const std::uint8_t type : {std::uint8_t{ND_NEIGHBOR_SOLICIT}, std::uint8_t{ND_NEIGHBOR_ADVERT}}) {
      const Walk walk = rules.Through(Discovery(rules, *link, leaves, type));
      const Decision* stop = walk.stop();
      if (stop == nullptr) continue;
      return Tell(rules, *stop, type == ND_NEIGHBOR_SOLICIT ? "solicitation" : "advertisement", *link, leaves, report);
    }
  }
  report.checked.push_back("whether the rules let IPv6's neighbour discovery through, by " + link->name);
}

}  // namespace conntally::diagnose
