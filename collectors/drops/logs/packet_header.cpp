#include "collectors/drops/logs/packet_header.h"

#include <netinet/in.h>

#include <algorithm>

#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

constexpr int kExtensionHeadersMax = 6;

std::uint8_t At(Bytes bytes, std::size_t offset) { return std::to_integer<std::uint8_t>(bytes[offset]); }

void ReadPort(DropKey& key, Bytes packet, std::size_t offset) {
  if (HasPorts(key.protocol) && offset + 4 <= packet.size()) {
    key.destination_port = LoadNetworkOrder<std::uint16_t>(packet.subspan(offset + 2));
  }
  const bool is_icmp = key.protocol == IPPROTO_ICMP || key.protocol == IPPROTO_ICMPV6;
  if (is_icmp && offset + 4 <= packet.size()) key.icmp_type = At(packet, offset);
}

IpAddress AddressOf(Family family, Bytes bytes) {
  IpAddress address;
  address.family = family;
  std::transform(bytes.begin(), bytes.end(), address.bytes.begin(), std::to_integer<std::uint8_t>);
  return address;
}

DropKey ReadIpv4(Bytes packet) {
  DropKey key;
  key.source = AddressOf(Family::kIpv4, packet.subspan(12, 4));
  key.destination = AddressOf(Family::kIpv4, packet.subspan(16, 4));
  key.protocol = At(packet, 9);
  const bool later_fragment = (LoadNetworkOrder<std::uint16_t>(packet.subspan(6)) & 0x1fff) != 0;
  if (!later_fragment) ReadPort(key, packet, (At(packet, 0) & 15U) * 4);
  return key;
}

DropKey ReadIpv6(Bytes packet) {
  DropKey key;
  key.source = AddressOf(Family::kIpv6, packet.subspan(8, 16));
  key.destination = AddressOf(Family::kIpv6, packet.subspan(24, 16));
  key.protocol = At(packet, 6);
  std::size_t offset = 40;
  for (int i = 0; i < kExtensionHeadersMax; ++i) {
    const std::uint8_t header = key.protocol;
    const bool extension = header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_FRAGMENT ||
                           header == IPPROTO_AH || header == IPPROTO_DSTOPTS;
    if (!extension || offset + 4 > packet.size()) break;
    key.protocol = At(packet, offset);
    if (header == IPPROTO_FRAGMENT) {
      const bool later_fragment = (LoadNetworkOrder<std::uint16_t>(packet.subspan(offset + 2)) & 0xfff8) != 0;
      if (later_fragment) return key;
      offset += 8;
    } else {
      const std::size_t length = At(packet, offset + 1);
      offset += header == IPPROTO_AH ? (length + 2) * 4 : (length + 1) * 8;
    }
  }
  ReadPort(key, packet, offset);
  return key;
}

}  // namespace

std::optional<DropKey> ReadPacketHeader(Bytes packet) {
  if (packet.size() >= 20 && At(packet, 0) >> 4 == 4) return ReadIpv4(packet);
  if (packet.size() >= 40 && At(packet, 0) >> 4 == 6) return ReadIpv6(packet);
  return std::nullopt;
}

}  // namespace conntally
