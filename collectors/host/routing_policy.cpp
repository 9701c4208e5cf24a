#include "collectors/host/routing_policy.h"

#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "collectors/netlink/messages.h"
#include "collectors/netlink/query.h"

namespace conntally {
namespace {

using Wants = NetlinkRequest::Wants;

std::optional<Family> FamilyOf(std::uint8_t number) {
  if (number == AF_INET) return Family::kIpv4;
  return number == AF_INET6 ? std::optional(Family::kIpv6) : std::nullopt;
}

std::optional<IpAddress> AddressOf(Bytes payload, Family family) {
  if (payload.size() != AddressBits(family) / 8) return std::nullopt;
  IpAddress address;
  address.family = family;
  std::memcpy(address.bytes.data(), payload.data(), payload.size());
  return address;
}

std::uint32_t NumberOf(Bytes payload) { return payload.size() == 4 ? LoadHostOrder<std::uint32_t>(payload) : 0; }

std::optional<Refuses> OfRouteType(std::uint8_t type) {
  switch (type) {
    case RTN_BLACKHOLE: return Refuses::kBlackhole;
    case RTN_UNREACHABLE: return Refuses::kUnreachable;
    case RTN_PROHIBIT: return Refuses::kProhibit;
    default: return std::nullopt;
  }
}

std::optional<Refuses> OfRuleAction(std::uint8_t action) {
  switch (action) {
    case FR_ACT_BLACKHOLE: return Refuses::kBlackhole;
    case FR_ACT_UNREACHABLE: return Refuses::kUnreachable;
    case FR_ACT_PROHIBIT: return Refuses::kProhibit;
    default: return std::nullopt;
  }
}

void TakeRoute(Bytes message, RoutingPolicy& policy) {
  const auto header = HeaderOf<rtmsg>(message);
  const auto kind = header ? OfRouteType(header->rtm_type) : std::nullopt;
  const auto family = header ? FamilyOf(header->rtm_family) : std::nullopt;
  if (!kind || !family || policy.routes.size() >= RoutingPolicy::kRoutesMax) return;
  RefusingRoute route;
  route.kind = *kind;
  route.table = header->rtm_table;
  route.destination.length = header->rtm_dst_len;
  route.destination.address.family = *family;
  AttributeWalk walk(AttributesAfter(message, sizeof *header));
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == RTA_TABLE) route.table = NumberOf(attribute.payload);
    if (attribute.type == RTA_PRIORITY) route.metric = NumberOf(attribute.payload);
    if (attribute.type != RTA_DST) continue;
    if (const auto address = AddressOf(attribute.payload, *family)) route.destination.address = *address;
  }
  policy.routes.push_back(route);
}

void TakeRuleAttribute(const Attribute& attribute, const fib_rule_hdr& header, RoutingRule& rule) {
  switch (attribute.type) {
    case FRA_PRIORITY: rule.priority = NumberOf(attribute.payload); break;
    case FRA_TABLE: rule.table = NumberOf(attribute.payload); break;
    case FRA_FWMARK: rule.mark = NumberOf(attribute.payload); break;
    case FRA_FWMASK: rule.mark_mask = NumberOf(attribute.payload); break;
    case FRA_IIFNAME: rule.in_link = AttributeText(attribute.payload); break;
    case FRA_OIFNAME: rule.out_link = AttributeText(attribute.payload); break;
    case FRA_SRC:
      if (const auto address = AddressOf(attribute.payload, rule.family))
        rule.source = Prefix{*address, header.src_len};
      break;
    case FRA_DST:
      if (const auto address = AddressOf(attribute.payload, rule.family))
        rule.destination = Prefix{*address, header.dst_len};
      break;
    case FRA_IP_PROTO:
    case FRA_SPORT_RANGE:
    case FRA_DPORT_RANGE:
    case FRA_UID_RANGE:
    case FRA_TUN_ID:
    case FRA_L3MDEV: rule.asks_more = true; break;
    default: break;
  }
}

void TakeRule(Bytes message, RoutingPolicy& policy) {
  const auto header = HeaderOf<fib_rule_hdr>(message);
  const auto family = header ? FamilyOf(header->family) : std::nullopt;
  if (!family) return;
  RoutingRule rule;
  rule.family = *family;
  rule.inverted = (header->flags & FIB_RULE_INVERT) != 0;
  rule.asks_more = header->tos != 0;
  rule.table = header->table;
  rule.refuses = OfRuleAction(header->action);
  AttributeWalk walk(AttributesAfter(message, sizeof *header));
  for (Attribute attribute; walk.Next(attribute);) TakeRuleAttribute(attribute, *header, rule);
  policy.rules.push_back(std::move(rule));
}

}  // namespace

const char* NameOf(Refuses kind) {
  switch (kind) {
    case Refuses::kBlackhole: return "blackhole";
    case Refuses::kUnreachable: return "unreachable";
    case Refuses::kProhibit: break;
  }
  return "prohibit";
}

Result<RoutingPolicy> ReadRoutingPolicy() {
  RoutingPolicy policy;
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    fib_rule_hdr rules{};
    rules.family = family;
    rtmsg routes{};
    routes.rtm_family = family;
    const auto asked = QueryProtocol(NETLINK_ROUTE, NetlinkRequest(RTM_GETRULE, Wants::kDump, rules),
                                     [&](Bytes message) { TakeRule(message, policy); });
    if (!asked && family == AF_INET) return asked.error();
    const auto more = QueryProtocol(NETLINK_ROUTE, NetlinkRequest(RTM_GETROUTE, Wants::kDump, routes),
                                    [&](Bytes message) { TakeRoute(message, policy); });
    if (!more && family == AF_INET) return more.error();
  }
  return policy;
}

Result<std::vector<Neighbour>> ReadNeighbours() {
  std::vector<Neighbour> neighbours;
  const NetlinkRequest request(RTM_GETNEIGH, Wants::kDump, ndmsg{});
  const auto asked = QueryProtocol(NETLINK_ROUTE, request, [&](Bytes message) {
    const auto header = HeaderOf<ndmsg>(message);
    const auto family = header ? FamilyOf(header->ndm_family) : std::nullopt;
    if (!family) return;
    AttributeWalk walk(AttributesAfter(message, sizeof *header));
    for (Attribute attribute; walk.Next(attribute);) {
      const auto address = attribute.type == NDA_DST ? AddressOf(attribute.payload, *family) : std::nullopt;
      if (!address) continue;
      neighbours.push_back({*address, static_cast<std::uint32_t>(header->ndm_ifindex),
                            (header->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PERMANENT)) != 0,
                            (header->ndm_state & (NUD_FAILED | NUD_INCOMPLETE)) != 0});
    }
  });
  if (!asked) return asked.error();
  return neighbours;
}

}  // namespace conntally
