// A host's links, routes and sockets, from rtnetlink and sock_diag. Plain values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "collectors/addresses/address.h"

namespace conntally {

struct Link {
  std::uint32_t index = 0;
  std::string name;
  std::string kind;      // "veth", "bridge", "dummy" ...; empty: a hardware device, or loopback
  bool up = false;       // administratively up
  bool carrier = false;  // and has a carrier
  bool loopback = false;
  bool asks_neighbours = true;  // for their link addresses, by ARP or neighbour discovery; a tunnel does not
  std::uint32_t mtu = 0;
  std::uint32_t master = 0;                               // the bridge, bond or VRF that it is a port of; 0: none
  std::optional<std::array<std::byte, 6>> ethernet = {};  // its address
};

struct LocalAddress {
  IpAddress address;
  std::uint8_t prefix_length = 0;
  std::uint32_t link = 0;  // its index
  // IPv6: another host has it, or it is not known yet whether one has. This host neither takes nor answers for it.
  bool duplicate = false;
  bool tentative = false;
};

// How the kernel would route a packet.
struct Route {
  enum class Kind : std::uint8_t {
    kLocal,        // to this host: the input hook
    kForward,      // out by `link`: the forward hook for a packet that arrives, the output hook for one that this host
                   // sends
    kBroadcast,    // or multicast
    kUnreachable,  // no route, or one of type unreachable, prohibit or blackhole
    kFiltered,     // reverse path filter, or an invalid source (only IPv4)
  };
  Kind kind = Kind::kUnreachable;
  std::uint32_t link = 0;            // out; 0: none
  std::optional<IpAddress> gateway;  // absent: the destination is on the link
  std::optional<IpAddress> preferred_source;
  int error = 0;  // the kernel's errno, if there is no route: ENETUNREACH, EHOSTUNREACH, EXDEV ... ...
};

struct ListeningSocket {
  std::uint8_t protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP (unconnected)
  IpAddress address;          // all zero: any
  std::uint16_t port = 0;
  bool both_families = false;   // bound to ::, and accepts IPv4 too
  std::uint32_t link = 0;       // the device that it is bound to; 0: none
  std::uint32_t queued = 0;     // TCP: connections waiting to be accepted
  std::uint32_t queue_max = 0;  // TCP: the backlog
  std::uint32_t user = 0;
};

}  // namespace conntally
