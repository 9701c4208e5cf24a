#include "collectors/rules/nft/decode/nft_field.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// The packet field at `offset`; without a kind if unknown. `width` is the field's width, `most` how much is needed.
NftField FieldAt(std::uint32_t base, std::uint32_t offset, std::size_t most, const NftHeaders& headers) {
  const auto& [layer3, protocol] = headers;
  NftField field;
  const auto is = [&](Kind kind, std::size_t width) { field.kind = kind, field.width = width; };
  if (base == NFT_PAYLOAD_NETWORK_HEADER && layer3 == Family::kIpv4) {
    if (offset == 12) is(Kind::kSource, 4);
    if (offset == 16) is(Kind::kDestination, 4);
    if (offset == 9) is(Kind::kProtocol, 1);
  }
  if (base == NFT_PAYLOAD_NETWORK_HEADER && layer3 == Family::kIpv6) {
    field.family = Family::kIpv6;
    if (offset == 8) is(Kind::kSource, 16);
    if (offset == 24) is(Kind::kDestination, 16);
    if (offset == 6) is(Kind::kProtocol, 1);
  }
  if (base == NFT_PAYLOAD_TRANSPORT_HEADER) {
    const bool ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
                       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE || !protocol;
    const bool icmp = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
    if (offset == 0 && ports && most >= 2) is(Kind::kSourcePort, 2);
    if (offset == 2 && ports && most >= 2) is(Kind::kDestinationPort, 2);
    if (offset == 0 && icmp) is(Kind::kIcmpType, 1);
    if (offset == 1 && icmp) is(Kind::kIcmpCode, 1);
    if (offset == 13 && protocol == IPPROTO_TCP) is(Kind::kTcpFlags, 1);
  }
  field.loaded = std::min(field.width, most);
  return field;
}

}  // namespace

NftField MetaField(const NftAttributes& a) {
  NftField field;
  switch (a.number(NFTA_META_KEY)) {
    case NFT_META_L4PROTO: field.kind = Kind::kProtocol, field.width = 1; break;
    case NFT_META_NFPROTO: field.kind = Kind::kFamily, field.width = 1; break;
    case NFT_META_PROTOCOL: field.kind = Kind::kFamily, field.width = 2; break;  // an EtherType
    case NFT_META_IIFNAME: field.kind = Kind::kInInterface, field.width = 16; break;
    case NFT_META_OIFNAME: field.kind = Kind::kOutInterface, field.width = 16; break;
    case NFT_META_IIF: field.kind = Kind::kInInterfaceIndex, field.width = 4, field.network_order = false; break;
    case NFT_META_OIF: field.kind = Kind::kOutInterfaceIndex, field.width = 4, field.network_order = false; break;
    case NFT_META_MARK: field.kind = Kind::kMark, field.width = 4, field.network_order = false; break;
    case NFT_META_PKTTYPE: field.kind = Kind::kPacketType, field.width = 1; break;
    case NFT_META_SKUID:
    case NFT_META_SKGID: field.what = "the socket's owner"; break;
    default: break;
  }
  field.loaded = field.width;
  return field;
}

NftField PayloadField(const NftAttributes& a, const NftHeaders& headers) {
  const auto base = a.number(NFTA_PAYLOAD_BASE), offset = a.number(NFTA_PAYLOAD_OFFSET),
             length = a.number(NFTA_PAYLOAD_LEN);
  NftField field = FieldAt(base, offset, length, headers);
  if (field.kind && length > field.width) {  // adjacent fields, which nft loads at once
    NftField whole;
    std::uint32_t at = 0;
    while (at < length) {
      const NftField part = FieldAt(base, offset + at, length - at, headers);
      if (!part.kind || part.loaded != part.width) break;
      at += static_cast<std::uint32_t>(part.width);
      whole.parts.push_back(part);
    }
    if (at != length) whole.parts.clear();
    field = std::move(whole);
  }
  field.loaded = length;
  return field;
}

NftField ConntrackField(const NftAttributes& a) {
  NftField field;
  field.network_order = false;
  field.width = field.loaded = 4;
  if (a.number(NFTA_CT_KEY) == NFT_CT_STATE) field.kind = Kind::kConntrackState;
  if (a.number(NFTA_CT_KEY) == NFT_CT_STATUS) field.kind = Kind::kConntrackStatus;
  return field;
}

NftField RoutingField(const NftAttributes& a) {
  const auto result = a.number(NFTA_FIB_RESULT), flags = a.number(NFTA_FIB_FLAGS);
  NftField field;
  field.network_order = false;
  const bool source = (flags & NFTA_FIB_F_SADDR) != 0;
  constexpr std::uint32_t kReverse = NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF;
  if (result == NFT_FIB_RESULT_ADDRTYPE && (flags & NFTA_FIB_F_IIF) == 0) {
    field.kind = source ? Kind::kSourceType : Kind::kDestinationType, field.width = 4;
  } else if (result == NFT_FIB_RESULT_OIF && (flags & kReverse) == kReverse && (flags & NFTA_FIB_F_PRESENT) != 0) {
    field.kind = Kind::kReversePath, field.width = 1;
  }
  field.loaded = field.width;
  return field;
}

std::size_t NftRegisterSlot(std::uint32_t number) {
  if (number >= NFT_REG_1 && number <= NFT_REG_4) return (number - NFT_REG_1) * 4;
  if (number >= NFT_REG32_00 && number <= NFT_REG32_15) return number - NFT_REG32_00;
  return kNftVerdictSlot;
}

std::uint32_t NumberOf(Bytes value, bool network_order) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(value.size(), 4); ++i) {
    const std::size_t at = network_order ? i : value.size() - 1 - i;
    number = number << 8 | std::to_integer<std::uint32_t>(value[at]);
  }
  return number;
}

IpAddress AddressOf(Bytes value, Family family) {
  IpAddress address;
  address.family = family;
  const std::size_t width = AddressBits(family) / 8;
  for (std::size_t i = 0; i < std::min(width, value.size()); ++i)
    address.bytes[i] = std::to_integer<std::uint8_t>(value[i]);
  return address;
}

std::optional<unsigned> LeadingBits(Bytes mask) {
  unsigned bits = 0;
  bool ended = false;
  for (const std::byte octet : mask) {
    for (int bit = 7; bit >= 0; --bit) {
      const bool one = (std::to_integer<unsigned>(octet) >> bit & 1U) != 0;
      if (one && ended) return std::nullopt;
      if (one) ++bits;
      ended = ended || !one;
    }
  }
  return bits;
}

}  // namespace conntally
