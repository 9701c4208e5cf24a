// What address translation uses and does, at one look at the kernel's table: the ports of each translated address
// towards one destination, and where destinations are sent. Plain values, immutable once published; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/addresses/ranges.h"
#include "collectors/conntrack/decode/endpoint.h"

namespace conntally {

// The ports of one translated address towards one destination. No two connections share one there: that is how the
// kernel tells their answers apart.
struct PortUse {
  static constexpr std::size_t kHoldersMax = 100;

  struct Holder {
    IpAddress source;               // of the original direction, not grouped
    std::uint64_t connections = 0;  // of those in `ports`
  };

  IpAddress nat_address;
  Endpoint destination;      // which the answers come from: after its own translation, where there is one
  NumberRange ports;         // which a new connection may be given: the rule's, or the kernel's own
  std::uint32_t used = 0;    // of `ports`, distinct; also by connections of this host that are not translated
  std::uint32_t closed = 0;  // of the used: of TCP connections that have ended, and whose port this kernel takes again
  std::vector<Holder> holders;  // who hold most, the most first
  std::uint32_t sources = 0;    // who hold any

  std::uint32_t available() const { return ports.last - ports.first + 1; }
  // A rule that names one port means one connection: that it has it is no sign of anything.
  bool can_run_out() const { return ports.first != ports.last; }
  double usage() const { return static_cast<double>(used) / available(); }
  // Without what the kernel would take again.
  double lasting_usage() const { return static_cast<double>(used - closed) / available(); }
};

// Connections whose destination is translated: where they were sent to, and where they go.
struct DestinationTranslation {
  Endpoint before;
  Endpoint after;
  std::uint64_t connections = 0;
};

struct NatFigures {
  std::chrono::steady_clock::time_point began{};     // the look that they are of
  std::vector<PortUse> uses;                         // the fullest first
  std::vector<DestinationTranslation> destinations;  // by `before`, then `after`
};

}  // namespace conntally
