#include "collectors/host/network_reader.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>

#include "collectors/netlink/messages.h"
#include "collectors/netlink/query.h"

namespace conntally {
namespace {

using Wants = NetlinkRequest::Wants;

std::optional<IpAddress> AddressOf(Bytes payload) {
  if (payload.size() != 4 && payload.size() != 16) return std::nullopt;
  IpAddress address;
  address.family = payload.size() == 4 ? Family::kIpv4 : Family::kIpv6;
  std::memcpy(address.bytes.data(), payload.data(), payload.size());
  return address;
}

Bytes BytesOf(const IpAddress& address) {
  return std::as_bytes(std::span(address.bytes)).first(AddressBits(address.family) / 8);
}

std::uint8_t NumberOf(Family family) { return family == Family::kIpv4 ? AF_INET : AF_INET6; }

Route::Kind KindOf(unsigned char type) {
  switch (type) {
    case RTN_LOCAL:
    case RTN_ANYCAST: return Route::Kind::kLocal;
    case RTN_UNICAST: return Route::Kind::kForward;
    case RTN_BROADCAST:
    case RTN_MULTICAST: return Route::Kind::kBroadcast;
    default: return Route::Kind::kUnreachable;
  }
}

Route DecodeRoute(Bytes message, const rtmsg& header) {
  Route route;
  route.kind = KindOf(header.rtm_type);
  AttributeWalk walk(AttributesAfter(message, sizeof header));
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == RTA_OIF && attribute.payload.size() == 4)
      route.link = LoadHostOrder<std::uint32_t>(attribute.payload);
    if (attribute.type == RTA_GATEWAY) route.gateway = AddressOf(attribute.payload);
    if (attribute.type == RTA_PREFSRC) route.preferred_source = AddressOf(attribute.payload);
  }
  if (route.kind == Route::Kind::kUnreachable) route.error = ENETUNREACH;
  return route;
}

}  // namespace

Result<std::vector<Link>> ReadLinks() {
  std::vector<Link> links;
  const NetlinkRequest request(RTM_GETLINK, Wants::kDump, ifinfomsg{});
  const auto asked = QueryProtocol(NETLINK_ROUTE, request, [&](Bytes message) {
    const auto header = HeaderOf<ifinfomsg>(message);
    if (!header) return;
    Link link;
    link.index = static_cast<std::uint32_t>(header->ifi_index);
    link.up = (header->ifi_flags & IFF_UP) != 0;
    // Not IFF_RUNNING, which follows up to a second later.
    link.carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
    link.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
    // ndisc_constructor, arp_constructor
    link.asks_neighbours = (header->ifi_flags & (IFF_LOOPBACK | IFF_NOARP | IFF_POINTOPOINT)) == 0;
    AttributeWalk walk(AttributesAfter(message, sizeof *header));
    for (Attribute attribute; walk.Next(attribute);) {
      if (attribute.type == IFLA_IFNAME) link.name = AttributeText(attribute.payload);
      if (attribute.type == IFLA_MTU && attribute.payload.size() == 4)
        link.mtu = LoadHostOrder<std::uint32_t>(attribute.payload);
      if (attribute.type == IFLA_MASTER && attribute.payload.size() == 4)
        link.master = LoadHostOrder<std::uint32_t>(attribute.payload);
      if (attribute.type == IFLA_ADDRESS && attribute.payload.size() == 6)
        std::copy_n(attribute.payload.begin(), 6, link.ethernet.emplace().begin());
      if (attribute.type != IFLA_LINKINFO) continue;
      AttributeWalk inner(attribute.payload);
      for (Attribute part; inner.Next(part);) {
        if (part.type == IFLA_INFO_KIND) link.kind = AttributeText(part.payload);
      }
    }
    links.push_back(std::move(link));
  });
  if (!asked) return asked.error();
  return links;
}

Result<std::vector<LocalAddress>> ReadLocalAddresses() {
  std::vector<LocalAddress> addresses;
  const NetlinkRequest request(RTM_GETADDR, Wants::kDump, ifaddrmsg{});
  const auto asked = QueryProtocol(NETLINK_ROUTE, request, [&](Bytes message) {
    const auto header = HeaderOf<ifaddrmsg>(message);
    if (!header) return;
    std::optional<IpAddress> address;
    bool is_local = false;
    AttributeWalk walk(AttributesAfter(message, sizeof *header));
    for (Attribute attribute; walk.Next(attribute);) {
      // On a point-to-point link IFA_ADDRESS is the peer's.
      if (attribute.type == IFA_LOCAL || (attribute.type == IFA_ADDRESS && !is_local))
        address = AddressOf(attribute.payload);
      is_local = is_local || attribute.type == IFA_LOCAL;
    }
    if (!address) return;
    const bool optimistic = (header->ifa_flags & IFA_F_OPTIMISTIC) != 0;
    addresses.push_back({*address, header->ifa_prefixlen, header->ifa_index, (header->ifa_flags & IFA_F_DADFAILED) != 0,
                         (header->ifa_flags & IFA_F_TENTATIVE) != 0 && !optimistic});
  });
  if (!asked) return asked.error();
  return addresses;
}

Result<Route> FindRoute(const RouteQuestion& question) {
  rtmsg header{};
  header.rtm_family = NumberOf(question.destination.family);
  header.rtm_dst_len = static_cast<unsigned char>(AddressBits(question.destination.family));
  if (question.source) header.rtm_src_len = header.rtm_dst_len;
  NetlinkRequest request(RTM_GETROUTE, Wants::kOne, header);
  request.Put(RTA_DST, BytesOf(question.destination));
  if (question.source) request.Put(RTA_SRC, BytesOf(*question.source));
  if (question.in_link != 0) request.Put(RTA_IIF, question.in_link);
  if (question.mark != 0) request.Put(RTA_MARK, question.mark);
  if (question.protocol == IPPROTO_TCP || question.protocol == IPPROTO_UDP) {
    request.Put(RTA_IP_PROTO, question.protocol);
    if (question.source_port != 0) request.Put(RTA_SPORT, htons(question.source_port));
    if (question.destination_port != 0) request.Put(RTA_DPORT, htons(question.destination_port));
  }

  Route route;
  const auto asked = QueryProtocol(NETLINK_ROUTE, request, [&](Bytes message) {
    if (const auto answer = HeaderOf<rtmsg>(message)) route = DecodeRoute(message, *answer);
  });
  if (asked) return route;
  const int code = asked.error().code;
  switch (code) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:  // "prohibit"
    case EAGAIN:  // "throw"
      return Route{Route::Kind::kUnreachable, 0, {}, {}, code};
    case EXDEV: return Route{Route::Kind::kFiltered, 0, {}, {}, code};
    case EINVAL:  // "blackhole"; for an arriving packet, also an invalid source
      return Route{question.in_link != 0 ? Route::Kind::kFiltered : Route::Kind::kUnreachable, 0, {}, {}, code};
    default: return asked.error();
  }
}

}  // namespace conntally
