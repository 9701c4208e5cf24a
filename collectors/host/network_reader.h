// A host's links, addresses and routes, by rtnetlink. Needs no privilege. Reads the calling thread's network namespace.
//
// Sources: rtnetlink(7); net/ipv4/route.c (inet_rtm_getroute), net/ipv6/route.c (inet6_rtm_getroute).
#pragma once

#include <optional>
#include <vector>

#include "collectors/host/network.h"
#include "collectors/system/result.h"

namespace conntally {

Result<std::vector<Link>> ReadLinks();
Result<std::vector<LocalAddress>> ReadLocalAddresses();

struct RouteQuestion {
  IpAddress destination;
  std::optional<IpAddress> source = {};  // of the same family
  std::uint32_t in_link = 0;             // the packet's incoming link; 0: this host sends it
  std::uint32_t mark = 0;
  std::uint8_t protocol = 0;  // TCP or UDP, for policy-routing rules that test ports; 0: not given
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
};

// The kernel's own decision; for IPv4 it includes the forwarding sysctl and the reverse path filter, for IPv6 neither.
// "No route" is a Route too, not an error.
Result<Route> FindRoute(const RouteQuestion& question);

}  // namespace conntally
