// A packet as rules see it, as far as it is known: an absent field may have any value. Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "collectors/addresses/address.h"
#include "collectors/rules/rule_condition.h"

namespace conntally {

// NF_CT_STATE_BITs, as RuleCondition::Kind::kConntrackState has them.
inline constexpr std::uint32_t kStateInvalid = 1, kStateEstablished = 2, kStateRelated = 4, kStateNew = 8,
                               kStateUntracked = 64;
// IPS_SRC_NAT and IPS_DST_NAT, as kConntrackStatus has them.
inline constexpr std::uint32_t kStatusSourceNat = 16, kStatusDestinationNat = 32;

// Ephemeral ports of clients (net.ipv4.ip_local_port_range's default).
inline constexpr NumberRange kClientPorts = {32768, 60999};

struct PacketInterface {
  std::uint32_t index = 0;
  std::string name;     // empty: none (the incoming interface of a packet that this host sends)
  bool bridge = false;  // rules of the bridge family see packets that pass it, by its ports
};

struct Packet {
  Family family = Family::kIpv4;
  std::optional<IpAddress> source;
  std::optional<IpAddress> destination;
  std::optional<std::uint8_t> protocol;    // IPPROTO_*
  std::optional<NumberRange> source_port;  // one of these
  std::optional<NumberRange> destination_port;
  std::optional<std::uint8_t> icmp_type;
  std::optional<std::uint8_t> icmp_code;
  std::optional<std::uint8_t> tcp_flags;    // SYN is 2, ACK 16
  std::uint32_t state = kStateNew;          // one bit
  std::optional<std::uint32_t> status = 0;  // of the connection: kStatusSourceNat, kStatusDestinationNat
  std::optional<std::uint32_t> mark = 0;
  std::optional<std::uint16_t> zone = 0;  // of conntrack
  std::optional<PacketInterface> in;
  std::optional<PacketInterface> out;
  std::optional<bool> source_is_local;  // one of this host's addresses
  std::optional<bool> destination_is_local;
  std::optional<bool> reverse_path;  // the route back to the source leaves by `in`
};

}  // namespace conntally
