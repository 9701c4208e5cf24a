// The connections that ct_load makes: number `i` of a plan is always the same connection, so that a
// test can compute what it expects and `delete` finds what `create` made. Pure; any thread.
//
//   source  s = i mod sources        the first sources * ipv6_share of them are IPv6
//   round   r = i div sources        the r-th connection of its source
//   source address       10.0.0.0 + source_offset + s + 1, or 2001:db8:: + source_offset + s + 1
//   destination address  198.18.0.1 + r div 60000, or 2001:db8:ffff:: + 1 + r div 60000
//   source port          1024 + r mod 60000 (ICMP: the id)
//   destination port     8000 + r mod destination_ports
//   protocol             mixed: TCP, UDP, ICMP by (s + r) mod 3
//   zone                 zones[r mod number of zones]
//   replied              r mod replied_every == replied_every - 1; never when that is 0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace conntally::ct_load {

enum class Protocol : std::uint8_t { kMixed = 0, kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpv6 = 58 };

struct Plan {
  std::uint64_t sources = 1000;
  std::uint64_t source_offset = 0;
  double ipv6_share = 0.0;
  Protocol protocol = Protocol::kUdp;
  std::vector<std::uint16_t> zones = {0};
  std::uint32_t destination_ports = 16;
  std::uint32_t replied_every = 0;
};

struct Connection {
  std::array<std::uint8_t, 16> source{};  // network byte order; IPv4 in the first 4 bytes
  std::array<std::uint8_t, 16> destination{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t zone = 0;
  Protocol protocol = Protocol::kUdp;
  bool ipv6 = false;
  bool replied = false;
  std::uint8_t tcp_state = 0;  // enum tcp_conntrack; 0: as EntryOptions says
};

inline void PutBigEndian32(std::array<std::uint8_t, 16>& address, std::size_t at, std::uint32_t value) {
  for (std::size_t byte = 0; byte < 4; ++byte) {
    address[at + byte] = static_cast<std::uint8_t>(value >> (24 - 8 * byte));
  }
}

inline Connection ConnectionOf(const Plan& plan, std::uint64_t index) {
  const std::uint64_t source = index % plan.sources;
  const std::uint64_t round = index / plan.sources;
  const auto ordinal = static_cast<std::uint32_t>(plan.source_offset + source + 1);
  const auto page = static_cast<std::uint32_t>(round / 60'000 + 1);

  Connection connection;
  connection.ipv6 = static_cast<double>(source) + 0.5 < static_cast<double>(plan.sources) * plan.ipv6_share;
  if (connection.ipv6) {
    PutBigEndian32(connection.source, 0, 0x20010db8);
    PutBigEndian32(connection.source, 12, ordinal);
    PutBigEndian32(connection.destination, 0, 0x20010db8);
    PutBigEndian32(connection.destination, 4, 0xffff0000);
    PutBigEndian32(connection.destination, 12, page);
  } else {
    PutBigEndian32(connection.source, 0, 0x0a000000 + ordinal);
    PutBigEndian32(connection.destination, 0, 0xc6120000 + page);
  }

  constexpr std::array<Protocol, 3> kCycle = {Protocol::kTcp, Protocol::kUdp, Protocol::kIcmp};
  connection.protocol = plan.protocol == Protocol::kMixed ? kCycle[(source + round) % 3] : plan.protocol;
  if (connection.protocol == Protocol::kIcmp && connection.ipv6) connection.protocol = Protocol::kIcmpv6;

  connection.source_port = static_cast<std::uint16_t>(1024 + round % 60'000);
  connection.destination_port = static_cast<std::uint16_t>(8000 + round % plan.destination_ports);
  connection.zone = plan.zones[round % plan.zones.size()];
  connection.replied = plan.replied_every != 0 && round % plan.replied_every == plan.replied_every - 1;
  return connection;
}

}  // namespace conntally::ct_load
