// The conntrack table's connections, counted by source, state and destination. A pure function of the list; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "collectors/conntrack/dumps/connection_list.h"
#include "daemon/diagnose/facts/host_facts.h"

namespace conntally::diagnose {

struct SourceCensus {
  IpAddress source;
  std::uint64_t connections = 0;
  std::uint64_t half_open = 0;    // TCP without a completed handshake
  std::uint64_t unreplied = 0;    // of all protocols
  std::uint64_t refused = 0;      // TCP in CLOSE: answered by a reset
  std::uint64_t ended = 0;        // TCP that is closing: FIN_WAIT to CLOSE
  std::uint64_t established = 0;  // TCP
  std::uint64_t idle = 0;         // established, without a packet for kIdleSeconds
  double oldest_idle_seconds = 0;
  double short_rate = 0;  // short ones begun or ended per second, in the busiest kRateSeconds of kRecentSeconds
  std::uint64_t destination_ports = 0;      // distinct
  std::uint64_t destination_addresses = 0;  // distinct
  std::uint16_t first_port = 0;             // with the most connections
  std::uint64_t first_port_connections = 0;
};

// A destination of connections; in a flood, its target.
struct DestinationCensus {
  IpAddress address;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
  std::uint64_t half_open = 0;
  std::uint64_t half_open_sources = 0;  // distinct
};

struct Census {
  static constexpr double kIdleSeconds = 7200;  // longer than TCP's keepalive: neither end checks the other
  static constexpr std::size_t kRecentSeconds = 10;
  static constexpr std::size_t kRateSeconds = 5;

  std::uint64_t connections = 0;
  std::uint64_t tcp = 0;
  std::uint64_t half_open = 0;
  std::uint64_t unreplied = 0;
  std::uint64_t idle = 0;
  std::map<std::string, std::uint64_t> states;            // "tcp established", "udp unreplied" ...
  std::vector<SourceCensus> sources;                      // the largest first
  std::vector<DestinationCensus> half_open_destinations;  // the most first, only a few

  const SourceCensus* Of(const IpAddress& source) const;  // nullptr: it has no connection
  double ShareOf(std::size_t first_sources) const;        // the share of all connections that the first sources hold
};

Census TakeCensus(const ConnectionList& list, const Sysctls& sysctls);

// How long ago the last packet came, by the rest of the timeout; nullopt if unknown. Pure.
std::optional<double> IdleSeconds(const Connection& connection, const Sysctls& sysctls);

// "tcp established", "udp unreplied"
std::string StateOf(const Connection& connection);

}  // namespace conntally::diagnose
