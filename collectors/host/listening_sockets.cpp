#include "collectors/host/listening_sockets.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "collectors/netlink/messages.h"
#include "collectors/netlink/query.h"

namespace conntally {
namespace {

constexpr std::uint32_t StateBit(unsigned state) { return 1U << state; }

IpAddress AddressOf(const __be32 (&words)[4], Family family) {
  IpAddress address;
  address.family = family;
  std::memcpy(address.bytes.data(), words, AddressBits(family) / 8);
  return address;
}

bool IsAny(const IpAddress& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

struct Found {
  inet_diag_msg message{};
  Family family = Family::kIpv4;
  bool v6_only = false;
};

// Visits the sockets of one protocol and family in the given states.
template <typename Visitor>
Status VisitSockets(std::uint8_t protocol, std::uint8_t family, std::uint32_t states, const Visitor& visit) {
  inet_diag_req_v2 query{};
  query.sdiag_family = family;
  query.sdiag_protocol = protocol;
  query.idiag_states = states;  // INET_DIAG_SKV6ONLY always comes with these states
  const NetlinkRequest request(SOCK_DIAG_BY_FAMILY, NetlinkRequest::Wants::kDump, query);
  return QueryProtocol(NETLINK_SOCK_DIAG, request, [&](Bytes message) {
    Found found;
    if (message.size() < MessageHeader::kBytes + sizeof found.message) return;
    std::memcpy(&found.message, message.data() + MessageHeader::kBytes, sizeof found.message);
    found.family = found.message.idiag_family == AF_INET ? Family::kIpv4 : Family::kIpv6;
    AttributeWalk walk(AttributesAfter(message, sizeof found.message));
    for (Attribute attribute; walk.Next(attribute);) {
      if (attribute.type == INET_DIAG_SKV6ONLY && !attribute.payload.empty())
        found.v6_only = attribute.payload[0] != std::byte{0};
    }
    visit(found);
  });
}

ListeningSocket Describe(const Found& found, std::uint8_t protocol) {
  ListeningSocket socket;
  socket.protocol = protocol;
  socket.address = AddressOf(found.message.id.idiag_src, found.family);
  socket.port = ntohs(found.message.id.idiag_sport);
  socket.both_families = found.family == Family::kIpv6 && !found.v6_only && IsAny(socket.address);
  socket.link = found.message.id.idiag_if;
  if (protocol == IPPROTO_TCP) {
    socket.queued = found.message.idiag_rqueue;
    socket.queue_max = found.message.idiag_wqueue;
  }
  socket.user = found.message.idiag_uid;
  // ::ffff:192.0.2.1 is an IPv4 address.
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (found.family == Family::kIpv6 && std::equal(kMapped.begin(), kMapped.end(), socket.address.bytes.begin())) {
    IpAddress mapped;
    std::copy_n(socket.address.bytes.begin() + 12, 4, mapped.bytes.begin());
    socket.address = mapped;
  }
  return socket;
}

}  // namespace

Result<std::vector<ListeningSocket>> ReadListeningSockets() {
  std::vector<ListeningSocket> sockets;
  for (const std::uint8_t protocol : {std::uint8_t{IPPROTO_TCP}, std::uint8_t{IPPROTO_UDP}}) {
    // A bound, unconnected UDP socket is in the state TCP_CLOSE.
    const std::uint32_t states = StateBit(protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE);
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
      const auto asked = VisitSockets(protocol, family, states, [&](const Found& found) {
        if (found.message.id.idiag_sport != 0) sockets.push_back(Describe(found, protocol));
      });
      // A kernel without IPv6 has no such sockets.
      if (!asked && asked.error().code != ENOENT)
        return Error{"cannot list listening sockets: " + asked.error().message, asked.error().code};
    }
  }
  return sockets;
}

Result<std::uint64_t> CountEstablishedSockets() {
  std::uint64_t count = 0;
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    const auto asked = VisitSockets(IPPROTO_TCP, family, StateBit(TCP_ESTABLISHED), [&](const Found& found) {
      const IpAddress here = AddressOf(found.message.id.idiag_src, found.family);
      const IpAddress there = AddressOf(found.message.id.idiag_dst, found.family);
      if (here != there && !(found.family == Family::kIpv4 && here.bytes[0] == IN_LOOPBACKNET)) ++count;
    });
    if (!asked && asked.error().code != ENOENT) return asked.error();
  }
  return count;
}

}  // namespace conntally
