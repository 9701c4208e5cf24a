// The packets that match a question, and those that were seen to fail.
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kSeenMax = 4;     // packets seen to fail: the rules are walked for each
constexpr std::size_t kSpreadMin = 16;  // this many failing packets, none a fifth of all, are a scan or a flood

}  // namespace

AskedPacket RuleCase::Template(Family family) const {
  const Question& question = inputs.question;
  AskedPacket asked;
  Packet& packet = asked.packet;
  packet.family = family;
  packet.source = question.source;
  packet.destination = question.destination;
  packet.protocol = question.protocol;
  if (!packet.protocol && question.destination_port) packet.protocol = IPPROTO_TCP;
  if (packet.protocol == IPPROTO_ICMP && family == Family::kIpv6) packet.protocol = IPPROTO_ICMPV6;
  if (packet.protocol == IPPROTO_ICMPV6 && family == Family::kIpv4) packet.protocol = IPPROTO_ICMP;
  if (packet.protocol == IPPROTO_ICMP) packet.icmp_type = 8;
  if (packet.protocol == IPPROTO_ICMPV6) packet.icmp_type = 128;
  if (packet.icmp_type) packet.icmp_code = 0;
  packet.source_port = kClientPorts;
  if (question.destination_port)
    packet.destination_port = NumberRange{*question.destination_port, *question.destination_port};
  packet.tcp_flags = 2;
  packet.source_is_local = inputs.host.routes.source_is_local;
  packet.destination_is_local = inputs.host.routes.destination_is_local;
  return asked;
}

std::vector<AskedPacket> RuleCase::Asked() const {
  const Question& question = inputs.question;
  const AskedRoutes& routes = inputs.host.routes;
  std::vector<Family> families;
  if (question.source || question.destination) {
    families.push_back((question.source ? question.source : question.destination)->family);
  } else {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      for (const Link* link : OuterLinks()) {
        const auto address = AddressOn(link->index, family);
        if (address && !IsOfLinkAlone(*address) &&
            std::find(families.begin(), families.end(), family) == families.end())
          families.push_back(family);
      }
    }
    if (families.empty()) families.push_back(Family::kIpv4);
  }
  std::vector<AskedPacket> asked;
  for (const Family family : families) {
    const AskedPacket base = Template(family);
    const bool to_loopback = question.destination && IsLoopback(*question.destination);
    const bool sends = routes.source_is_local ||
                       (!question.source && question.destination && (!routes.destination_is_local || to_loopback));
    if (sends) {
      AskedPacket own = base;
      own.leaves = true;
      own.packet.source_is_local = true;
      if (!own.packet.destination) own.packet.destination = own.packet.source;  // to itself
      if (!own.packet.source && to_loopback) own.packet.source = own.packet.destination;
      asked.push_back(std::move(own));
    }
    if (routes.source_is_local || to_loopback) continue;
    if (sends && !Forwards(family)) continue;
    std::vector<const Link*> links = OuterLinks();
    if (const Link* link = inputs.host.LinkOf(routes.in_link)) links = {link};
    if (links.empty()) links.push_back(nullptr);
    for (const Link* link : links) {
      AskedPacket arriving = base;
      if (link != nullptr) {
        arriving.packet.in = InterfaceOf(*link);
        arriving.packet.reverse_path = question.source ? ComesBackBy(*question.source, link->index) : true;
        arriving.bridged = routes.bridged && link->index == routes.in_link;
        if (!question.destination) arriving.packet.destination = AddressOn(link->index, family);
        if (!arriving.packet.destination && links.size() > 1) continue;
      }
      if (!question.destination && routes.to_source && *routes.to_source && (*routes.to_source)->preferred_source) {
        arriving.packet.destination = (*routes.to_source)->preferred_source;
      }
      asked.push_back(std::move(arriving));
    }
  }
  return asked;
}

std::optional<bool> RuleCase::ComesBackBy(const IpAddress& source, std::uint32_t link) const {
  const auto route = inputs.find_route({source, std::nullopt, 0});
  if (!route) return std::nullopt;
  return route->kind == Route::Kind::kForward && route->link == link;
}

std::vector<AskedPacket> RuleCase::SeenToFail() const {
  std::map<std::tuple<IpAddress, IpAddress, std::uint8_t, std::uint16_t>, std::pair<std::uint64_t, const WatchedFlow*>>
      failing;
  if (inputs.watched == nullptr) return {};
  for (const WatchedFlow& flow : inputs.watched->flows) {
    if (flow.answer == WatchedFlow::Answer::kAccepted || flow.answer == WatchedFlow::Answer::kFromAnother ||
        (flow.answer == WatchedFlow::Answer::kNone && !inputs.watched->IsUnanswered(flow)))
      continue;
    auto& [requests, first] = failing[{flow.source, flow.destination, flow.protocol, flow.destination_port}];
    requests += flow.requests;
    if (first == nullptr) first = &flow;
  }
  std::vector<std::pair<std::uint64_t, const WatchedFlow*>> most;
  for (const auto& each : failing) most.push_back(each.second);
  std::stable_sort(most.begin(), most.end(),
                   [](const auto& one, const auto& other) { return one.first > other.first; });
  // Widely spread failures are a scan or a flood, which has its own finding: a single packet of it means nothing.
  const std::uint64_t all = std::accumulate(most.begin(), most.end(), std::uint64_t{0},
                                            [](std::uint64_t sum, const auto& each) { return sum + each.first; });
  if (most.size() > kSpreadMin && most.front().first * 5 < all) return {};
  if (most.size() > kSeenMax) most.resize(kSeenMax);
  std::vector<AskedPacket> seen;
  for (const auto& [requests, flow] : most) {
    AskedPacket& one = seen.emplace_back();
    Packet& packet = one.packet;
    packet.family = flow->source.family;
    packet.source = flow->source;
    packet.destination = flow->destination;
    packet.protocol = flow->protocol;
    packet.source_port = kClientPorts;
    packet.destination_port = NumberRange{flow->destination_port, flow->destination_port};
    packet.tcp_flags = 2;
    packet.source_is_local = inputs.host.IsLocal(flow->source);
    packet.destination_is_local = inputs.host.IsLocal(flow->destination);
    const Link* link = inputs.host.LinkOf(flow->in_link);
    one.leaves = flow->in_link == 0 || (link != nullptr && link->loopback);
    if (link != nullptr && !one.leaves) {
      packet.in = InterfaceOf(*link);
      packet.reverse_path = ComesBackBy(flow->source, flow->in_link);
    }
  }
  return seen;
}

}  // namespace conntally::diagnose
