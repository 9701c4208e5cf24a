// Sends real UDP packets from many source addresses. One thread.
//
// One socket per source port; the source address travels with each packet as IP_PKTINFO, so the
// namespace needs the addresses to be local: `ip route add local 10.0.0.0/8 dev lo`, and for
// IPv6 `ip -6 route add local 2001:db8::/64 dev lo`.
#pragma once

#include <cstdint>
#include <string>

#include "test/support/ct_load_tuple.h"

namespace conntally::ct_load {

struct UdpDestinations {
  std::string ipv4;  // empty: the plan's own
  std::string ipv6;
};

struct UdpResult {
  std::uint64_t sent = 0;
  std::uint64_t failed = 0;
};

// Connections first … first + count - 1, `packets_each` packets a piece, at most `rate` a second (0: no
// bound). Throws std::system_error when a socket cannot be had.
struct UdpJob {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t packets_each = 1;
  double rate = 0;
  UdpDestinations destinations;
};
UdpResult SendUdp(const Plan& plan, const UdpJob& job);

}  // namespace conntally::ct_load
