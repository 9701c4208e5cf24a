// Figures of address translation from one survey of the kernel's table: the ports of each translated address towards
// one destination, and translated destinations. Plain values, immutable once published; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/addresses/ranges.h"
#include "collectors/conntrack/decode/endpoint.h"

namespace conntally {

// The ports of one translated address towards one destination. There no two connections share a port, so that the
// kernel can tell their answers apart.
struct PortUse {
  static constexpr std::size_t kHoldersMax = 100;

  struct Holder {
    IpAddress source;               // of the original direction, not grouped
    std::uint64_t connections = 0;  // connections with a port in `ports`
  };

  IpAddress nat_address;
  Endpoint destination;         // where the answers come from: after destination NAT, if any
  NumberRange ports;            // available to a new connection: the rule's range, or the kernel's own
  std::uint32_t used = 0;       // distinct ones of `ports`; also by untranslated connections of this host
  std::uint32_t closed = 0;     // of the used ones: TCP connection ended, and this kernel reuses the port
  std::vector<Holder> holders;  // the sources that hold most, the most first
  std::uint32_t sources = 0;    // sources that hold any

  std::uint32_t available() const { return ports.last - ports.first + 1; }
  // A rule with a single port is for one connection, so its use means nothing.
  bool can_run_out() const { return ports.first != ports.last; }
  double usage() const { return static_cast<double>(used) / available(); }
  // Without the ports that the kernel would reuse.
  double lasting_usage() const { return static_cast<double>(used - closed) / available(); }
};

// Connections with destination NAT: their original and their translated destination.
struct DestinationTranslation {
  Endpoint before;
  Endpoint after;
  std::uint64_t connections = 0;
};

struct NatFigures {
  std::chrono::steady_clock::time_point began{};     // start of the survey
  std::vector<PortUse> uses;                         // the fullest first
  std::vector<DestinationTranslation> destinations;  // by `before`, then `after`
};

}  // namespace conntally
