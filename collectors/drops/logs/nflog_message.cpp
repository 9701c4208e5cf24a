#include "collectors/drops/logs/nflog_message.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include <algorithm>
#include <cstddef>

#include "collectors/drops/logs/packet_header.h"
#include "collectors/netlink/messages.h"

namespace conntally {
namespace {

constexpr std::uint16_t kPacketMessage = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
constexpr unsigned kIpHooks = 5;  // NF_INET_NUMHOOKS without ingress

// A C string with the kernel's NUL; bytes that cannot be shown become question marks.
std::string ReadPrefix(Bytes payload) {
  std::string prefix;
  for (const std::byte byte : payload) {
    const char letter = std::to_integer<char>(byte);
    if (letter == 0) break;
    prefix += letter >= ' ' && letter <= '~' ? letter : '?';
  }
  const auto last = prefix.find_last_not_of(' ');
  prefix.resize(last == prefix.npos ? 0 : last + 1);
  return prefix;
}

// Other families number their hooks differently.
HookSet HookOf(std::uint8_t family, Bytes packet_header) {
  if (family != NFPROTO_IPV4 && family != NFPROTO_IPV6) return HookSet(HookSet::kDevice);
  const auto hook = std::to_integer<unsigned>(packet_header[offsetof(nfulnl_msg_packet_hdr, hook)]);
  return HookSet(hook < kIpHooks ? static_cast<std::uint8_t>(1U << hook) : HookSet::kDevice);
}

}  // namespace

std::optional<NflogPacket> DecodeNflogMessage(Bytes message) {
  const auto read = ReadNetfilterMessage(message);
  if (!read || read->type != kPacketMessage) return std::nullopt;
  NflogPacket decoded;
  decoded.group = read->resource;
  LoggedPacket packet;
  std::optional<DropKey> key;
  HookSet hooks;
  std::uint32_t in_interface = 0;
  std::uint32_t out_interface = 0;
  AttributeWalk walk(read->attributes);
  for (Attribute attribute; walk.Next(attribute);) {
    const bool is_number = attribute.payload.size() == sizeof(std::uint32_t);
    switch (attribute.type) {
      case NFULA_PACKET_HDR:
        if (attribute.payload.size() >= sizeof(nfulnl_msg_packet_hdr)) hooks = HookOf(read->family, attribute.payload);
        break;
      case NFULA_IFINDEX_INDEV:
        if (is_number) in_interface = LoadNetworkOrder<std::uint32_t>(attribute.payload);
        break;
      case NFULA_IFINDEX_OUTDEV:
        if (is_number) out_interface = LoadNetworkOrder<std::uint32_t>(attribute.payload);
        break;
      case NFULA_SEQ:
        if (is_number) decoded.sequence = LoadNetworkOrder<std::uint32_t>(attribute.payload);
        break;
      case NFULA_PREFIX: packet.prefix = ReadPrefix(attribute.payload); break;
      case NFULA_PAYLOAD: key = ReadPacketHeader(attribute.payload); break;
      default: break;
    }
  }
  if (walk.malformed()) return std::nullopt;
  if (!key) return decoded;
  packet.key = *key;
  packet.key.hooks = hooks;
  packet.key.in_interface = in_interface;
  packet.key.out_interface = out_interface;
  packet.via = DropVia::kNflog;
  decoded.packet = std::move(packet);
  return decoded;
}

}  // namespace conntally
