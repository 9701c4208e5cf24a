// IPv6's neighbour discovery through the rules. Conntrack leaves it untracked, so "established" accepts none of it;
// where it is stopped, nothing IPv6 gets through once what neighbours know of each other has expired, though every port
// seems open. On each link of the way both ends ask and answer.
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <memory>

#include "collectors/rules/walk/rule_edit.h"
#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

// A link that the traffic passes, and its neighbour there.
struct Hop {
  const Link* link = nullptr;
  std::optional<IpAddress> neighbour;  // the end of the traffic, or the router before it; absent: any
  bool is_end = false;
};

class Hops {
 public:
  explicit Hops(const HostFacts& host) : host_(host) {}

  void Add(std::uint32_t index, const std::optional<IpAddress>& end, const std::optional<IpAddress>& gateway) {
    const Link* link = host_.LinkOf(index);
    const auto& neighbour = gateway ? gateway : end;
    if (link == nullptr || !link->asks_neighbours || (neighbour && neighbour->family != Family::kIpv6)) return;
    const bool is_known = std::any_of(hops_.begin(), hops_.end(), [&](const Hop& each) {
      return each.link == link && (each.neighbour == neighbour || !neighbour);
    });
    if (!is_known) hops_.push_back({link, neighbour, !gateway});
  }
  void Add(const std::optional<Result<Route>>& route, const IpAddress& end) {
    if (route && *route && (*route)->kind == Route::Kind::kForward) Add((*route)->link, end, (*route)->gateway);
  }
  const std::vector<Hop>& all() const { return hops_; }

 private:
  const HostFacts& host_;
  std::vector<Hop> hops_;
};

std::vector<Hop> FindHops(const RuleCase& rules, const RuleOutcome& outcome) {
  const Question& question = rules.inputs.question;
  const AskedRoutes& routes = rules.inputs.host.routes;
  Hops hops(rules.inputs.host);
  const auto& asked = question.source ? question.source : question.destination;
  if (!asked || asked->family != Family::kIpv6) return {};
  if (question.source && !routes.source_is_local) {
    const auto& back = routes.to_source;
    hops.Add(routes.in_link, question.source, back && *back ? (*back)->gateway : std::nullopt);
  }
  if (question.destination && !routes.destination_is_local && !routes.same_network)
    hops.Add(routes.to_destination, *question.destination);
  if (const auto& to = outcome.translated_to) hops.Add(Result<Route>(to->route), to->address);
  // Whoever asks for this host's own address asks on its link.
  if (!question.source && routes.destination_is_local) {
    const Link* link = rules.inputs.host.LinkTo(*question.destination);
    if (link != nullptr) hops.Add(link->index, {}, {});
  }
  return hops.all();
}

// Where a host asks for the address (RFC 4291, 2.7.1).
IpAddress SolicitedNode(const IpAddress& address) {
  IpAddress group = *IpAddress::Parse("ff02::1:ff00:0");
  std::copy(address.bytes.begin() + 13, address.bytes.end(), group.bytes.begin() + 13);
  return group;
}

struct Message {
  bool leaves = false;
  std::uint8_t type = 0;
  std::string Words() const {
    return fmt::format("neighbour {}s {}", type == ND_NEIGHBOR_SOLICIT ? "solicitation" : "advertisement",
                       leaves ? "may not leave" : "are not let in");
  }
};
constexpr auto kMessages = std::to_array<Message>({{true, ND_NEIGHBOR_SOLICIT},
                                                   {true, ND_NEIGHBOR_ADVERT},
                                                   {false, ND_NEIGHBOR_SOLICIT},
                                                   {false, ND_NEIGHBOR_ADVERT}});

AskedPacket Discovery(const Hop& hop, const Message& message) {
  AskedPacket asked;
  asked.leaves = message.leaves;
  Packet& packet = asked.packet;
  packet.family = Family::kIpv6;
  packet.protocol = IPPROTO_ICMPV6;
  packet.icmp_type = message.type;
  packet.icmp_code = 0;
  packet.state = kStateUntracked;
  packet.reverse_path = true;
  (message.leaves ? packet.out : packet.in) = InterfaceOf(*hop.link);
  packet.source_is_local = message.leaves;
  packet.destination_is_local = !message.leaves;
  if (!hop.neighbour) return asked;
  const bool asks = message.type == ND_NEIGHBOR_SOLICIT;
  if (message.leaves && asks) packet.destination = SolicitedNode(*hop.neighbour);
  // A router asks, and is answered, by its link-local address; it answers by the one that was asked for.
  if (message.leaves && !asks && hop.is_end) packet.destination = hop.neighbour;
  if (!message.leaves && (hop.is_end || !asks)) packet.source = hop.neighbour;
  return asked;
}

// Accepts one after the other what the rules stop; an error if there is no command for one of them.
Result<Fix> AcceptAll(const RuleCase& rules, const std::vector<std::pair<Hop, AskedPacket>>& all) {
  Fix fix;
  std::unique_ptr<TriedRules> now;
  constexpr int kRulesMax = 8;  // that stop one message, one behind the other
  for (const auto& [hop, asked] : all) {
    for (int round = 0;; ++round) {
      const PacketWalker& walker = now ? now->walker : rules.walker;
      const Walk walk = rules.Through(walker, asked, Limits::kWithin);
      const Decision* stop = walk.stop();
      if (stop == nullptr) break;
      if (round == kRulesMax) return Error{"too many rules stop it, one behind the other"};
      std::vector<IpAddress> neighbours;
      if (hop.neighbour && !IsOfLinkAlone(*hop.neighbour)) neighbours = {*hop.neighbour};
      const auto accept = rules.commands.On(walker).AcceptDiscovery(*stop, hop.link->name, asked.leaves, neighbours);
      if (!accept) return accept.error();
      fix.Append(*accept);
      for (const RuleEdit& edit : accept->edits)
        now = std::make_unique<TriedRules>(Edited(now ? now->reading : rules.inputs.after, edit));
    }
  }
  return fix;
}

void Tell(const RuleCase& rules, const Decision& stop, const std::string& what,
          const std::vector<std::pair<Hop, AskedPacket>>& all, Report& report) {
  Packet taken;
  taken.family = Family::kIpv6;
  Finding finding = StoppedBy(rules, stop, taken, 0.9);
  finding.title = "The neighbour discovery that IPv6 needs is stopped: " + what;
  finding.cause =
      "neighbours find each other's link addresses by ICMPv6, which conntrack does not track, so no rule for "
      "established connections accepts it; "
      "without it nothing IPv6 passes once what they know of each other has expired";
  finding.fix.clear();
  finding.decide.clear();
  for (const auto& [hop, asked] : all) finding.cures.push_back({asked});
  if (auto accept = AcceptAll(rules, all)) {
    finding.fix.push_back(*std::move(accept));
  } else {
    finding.decide = "how neighbour discovery passes " + rules.Place(stop) +
                     "; no command is offered for that: " + accept.error().message;
  }
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckNeighbours(const RuleCase& rules, const RuleOutcome& outcome, Report& report) {
  std::optional<Decision> first;
  std::string what, by;
  std::vector<std::pair<Hop, AskedPacket>> stopped;
  for (const Hop& hop : FindHops(rules, outcome)) {
    by += (by.empty() ? "" : ", ") + hop.link->name;
    for (const Message& message : kMessages) {
      AskedPacket asked = Discovery(hop, message);
      const Walk walk = rules.Through(asked);
      const Decision* stop = walk.stop();
      if (stop == nullptr) continue;
      if (!first) {
        first = *stop;
        what = message.Words() + (message.leaves ? " by " : " from ") + hop.link->name;
      }
      stopped.emplace_back(hop, std::move(asked));
    }
  }
  if (first) return Tell(rules, *first, what, stopped, report);
  if (!by.empty()) report.checked.push_back("whether the rules let IPv6's neighbour discovery through, by " + by);
}

}  // namespace conntally::diagnose
