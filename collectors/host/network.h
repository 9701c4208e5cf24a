// What a host's network is made of, as rtnetlink and sock_diag tell it. Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "collectors/addresses/address.h"

namespace conntally {

struct Link {
  std::uint32_t index = 0;
  std::string name;
  std::string kind;      // "veth", "bridge", "dummy" ...; empty: a device of hardware, or loopback
  bool up = false;       // set up by whoever administers it
  bool carrier = false;  // and able to carry packets
  bool loopback = false;
  std::uint32_t mtu = 0;
};

struct LocalAddress {
  IpAddress address;
  std::uint8_t prefix_length = 0;
  std::uint32_t link = 0;  // its index
};

// What the kernel would do with a packet.
struct Route {
  enum class Kind : std::uint8_t {
    kLocal,        // this host's own: the input hook
    kForward,      // out by `link`: the forward hook for a packet that arrives, the output hook for one of our own
    kBroadcast,    // or multicast
    kUnreachable,  // no route, or one that says unreachable, prohibit or blackhole
    kFiltered,     // reverse path filter, or a source that cannot be (IPv4 alone)
  };
  Kind kind = Kind::kUnreachable;
  std::uint32_t link = 0;            // out; 0: none
  std::optional<IpAddress> gateway;  // absent: the destination is on the link
  std::optional<IpAddress> preferred_source;
  int error = 0;  // errno of what the kernel said, when it is no way: ENETUNREACH, EHOSTUNREACH, EXDEV ...
};

struct ListeningSocket {
  std::uint8_t protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP (unconnected)
  IpAddress address;          // all zero: any
  std::uint16_t port = 0;
  bool both_families = false;   // bound to ::, and takes IPv4, too
  std::uint32_t link = 0;       // bound to one device; 0: to none
  std::uint32_t queued = 0;     // TCP: connections that wait to be accepted
  std::uint32_t queue_max = 0;  // TCP: the backlog
  std::uint32_t user = 0;
};

}  // namespace conntally
