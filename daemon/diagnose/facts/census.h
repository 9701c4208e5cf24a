// Who holds the conntrack table: its connections counted by source, state and destination. A pure function of the list;
// any thread.
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
  std::uint64_t half_open = 0;    // TCP that no handshake has completed
  std::uint64_t unreplied = 0;    // of every protocol
  std::uint64_t refused = 0;      // TCP in CLOSE: answered by a reset
  std::uint64_t ended = 0;        // TCP on its way out: FIN_WAIT to CLOSE
  std::uint64_t established = 0;  // TCP
  std::uint64_t idle = 0;         // established, without a packet for kIdle
  double oldest_idle_seconds = 0;
  double short_rate = 0;  // short ones begun or ended a second, in the worst kRateSeconds of the last kRecentSeconds
  std::uint64_t destination_ports = 0;      // distinct
  std::uint64_t destination_addresses = 0;  // distinct
  std::uint16_t first_port = 0;             // with the most connections
  std::uint64_t first_port_connections = 0;
};

// Where connections go: for a flood, whom it is meant for.
struct DestinationCensus {
  IpAddress address;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
  std::uint64_t half_open = 0;
  std::uint64_t half_open_sources = 0;  // distinct
};

struct Census {
  static constexpr double kIdleSeconds = 7200;  // more than TCP's keepalive: nobody asks whether the other end is there
  static constexpr std::size_t kRecentSeconds = 10;
  static constexpr std::size_t kRateSeconds = 5;

  std::uint64_t connections = 0;
  std::uint64_t tcp = 0;
  std::uint64_t half_open = 0;
  std::uint64_t unreplied = 0;
  std::uint64_t idle = 0;
  std::map<std::string, std::uint64_t> states;            // "tcp established", "udp unreplied" ...
  std::vector<SourceCensus> sources;                      // the largest first
  std::vector<DestinationCensus> half_open_destinations;  // the most first, some at most

  const SourceCensus* Of(const IpAddress& source) const;  // nullptr: it holds none
  double ShareOf(std::size_t first_sources) const;        // of all connections, that the first so many sources hold
};

Census Count(const ConnectionList& list, const Sysctls& sysctls);

// How long ago the last packet came, by what is left of the timeout; nullopt where that cannot be told. Pure.
std::optional<double> IdleSeconds(const Connection& connection, const Sysctls& sysctls);

// "tcp established", "udp unreplied"
std::string StateOf(const Connection& connection);

}  // namespace conntally::diagnose
