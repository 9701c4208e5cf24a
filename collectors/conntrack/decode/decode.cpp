#include "collectors/conntrack/decode/decode.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "collectors/conntrack/decode/event_attributes.h"
#include "collectors/netlink/messages.h"

namespace conntally {
namespace {

constexpr std::size_t kFlowHeaderBytes = MessageHeader::kBytes + sizeof(nfgenmsg);

// The kernel writes each of these attributes with one fixed length, so any other is malformed.
template <std::unsigned_integral T>
bool Load(Bytes payload, T& value) {
  if (payload.size() != sizeof(T)) return false;
  value = LoadNetworkOrder<T>(payload);
  return true;
}

// If a nest comes twice, the last one counts, and is read only at the end, as in libnetfilter_conntrack. An empty nest
// is legal.
bool Keep(Bytes payload, Bytes& nest) {
  if (!payload.empty() && payload.size() < sizeof(nlattr)) return false;
  nest = payload;
  return true;
}

bool LoadAddress(Bytes payload, std::size_t address_bytes, std::array<std::uint8_t, 16>& address) {
  if (payload.size() != address_bytes) return false;
  std::transform(payload.begin(), payload.end(), address.begin(), std::to_integer<std::uint8_t>);
  return true;
}

bool DecodeAddresses(Bytes nest, FlowKey& key) {
  const bool ipv4 = key.family == Family::kIpv4;
  const int source_type = ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
  const int destination_type = ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST;
  const std::size_t address_bytes = ipv4 ? 4 : 16;
  bool has_source = false;
  bool has_destination = false;

  EventAttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == source_type) {
      has_source = LoadAddress(attribute.payload, address_bytes, key.source);
      if (!has_source) return false;
    } else if (attribute.type == destination_type) {
      has_destination = LoadAddress(attribute.payload, address_bytes, key.destination);
      if (!has_destination) return false;
    } else if (attribute.type >= CTA_IP_V4_SRC && attribute.type <= CTA_IP_V6_DST) {
      return false;  // the other family's address contradicts nfgen_family
    }
  }
  return has_source && has_destination && !walk.malformed();
}

bool LoadProtocolField(const Attribute& attribute, std::uint16_t& value) {
  switch (attribute.type) {
    case CTA_PROTO_SRC_PORT:
    case CTA_PROTO_DST_PORT:
    case CTA_PROTO_ICMP_ID:
    case CTA_PROTO_ICMPV6_ID: return Load(attribute.payload, value);
    default:
      std::uint8_t octet = 0;
      if (!Load(attribute.payload, octet)) return false;
      value = octet;
      return true;
  }
}

// The fields depend on CTA_PROTO_NUM, which need not come first. The kernel writes ports for TCP, UDP, UDP-Lite, SCTP,
// DCCP and GRE (its key), and none for unknown protocols.
bool DecodeProtocol(Bytes nest, FlowKey& key) {
  std::array<std::uint16_t, CTA_PROTO_MAX + 1> fields{};
  bool has_protocol = false;

  EventAttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == CTA_PROTO_UNSPEC || attribute.type > CTA_PROTO_MAX) continue;
    if (!LoadProtocolField(attribute, fields[attribute.type])) return false;
    if (attribute.type == CTA_PROTO_NUM) has_protocol = true;
  }
  if (!has_protocol || walk.malformed()) return false;

  const auto type_and_code = [&](int type, int code) {
    return static_cast<std::uint16_t>(fields[static_cast<unsigned>(type)] << 8 | fields[static_cast<unsigned>(code)]);
  };
  key.protocol = static_cast<std::uint8_t>(fields[CTA_PROTO_NUM]);
  switch (key.protocol) {
    case IPPROTO_ICMP:
      key.source_port = fields[CTA_PROTO_ICMP_ID];
      key.destination_port = type_and_code(CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE);
      break;
    case IPPROTO_ICMPV6:
      key.source_port = fields[CTA_PROTO_ICMPV6_ID];
      key.destination_port = type_and_code(CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE);
      break;
    default:
      key.source_port = fields[CTA_PROTO_SRC_PORT];
      key.destination_port = fields[CTA_PROTO_DST_PORT];
      break;
  }
  return true;
}

bool DecodeTuple(Bytes nest, FlowKey& key) {
  Bytes addresses;
  Bytes protocol;
  EventAttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);) {
    bool good = true;
    switch (attribute.type) {
      case CTA_TUPLE_IP: good = Keep(attribute.payload, addresses); break;
      case CTA_TUPLE_PROTO: good = Keep(attribute.payload, protocol); break;
      // A zone of this direction only (`ct original zone set`).
      case CTA_TUPLE_ZONE: good = Load(attribute.payload, key.zone); break;
    }
    if (!good) return false;
  }
  return !walk.malformed() && DecodeAddresses(addresses, key) && DecodeProtocol(protocol, key);
}

bool DecodeTcp(Bytes nest, FlowEvent& event) {
  EventAttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type != CTA_PROTOINFO_TCP_STATE) continue;
    std::uint8_t state = 0;
    if (!Load(attribute.payload, state)) return false;
    event.tcp_state = static_cast<TcpState>(state);
    event.has_tcp_state = true;
  }
  return !walk.malformed() && static_cast<unsigned>(event.tcp_state) < kTcpStates;
}

bool DecodeProtocolInfo(Bytes nest, FlowEvent& event) {
  Bytes tcp;
  EventAttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);)
    if (attribute.type == CTA_PROTOINFO_TCP && !Keep(attribute.payload, tcp)) return false;
  return !walk.malformed() && DecodeTcp(tcp, event);
}

bool DecodeTimestamps(Bytes nest, FlowEvent& event) {
  EventAttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == CTA_TIMESTAMP_START && !Load(attribute.payload, event.start_ns)) return false;
    if (attribute.type == CTA_TIMESTAMP_STOP && !Load(attribute.payload, event.stop_ns)) return false;
  }
  return !walk.malformed();
}

bool DecodeAttributes(Bytes attributes, FlowEvent& event) {
  Bytes tuple;
  Bytes protocol_info;
  Bytes timestamps;
  std::uint16_t zone = 0;

  EventAttributeWalk walk(attributes);
  for (Attribute attribute; walk.Next(attribute);) {
    bool good = true;
    switch (attribute.type) {
      case CTA_TUPLE_ORIG: good = Keep(attribute.payload, tuple); break;
      case CTA_PROTOINFO: good = Keep(attribute.payload, protocol_info); break;
      case CTA_TIMESTAMP: good = Keep(attribute.payload, timestamps); break;
      case CTA_STATUS:
        good = Load(attribute.payload, event.status);
        event.has_status = true;
        break;
      case CTA_ID: good = Load(attribute.payload, event.id); break;
      case CTA_ZONE: good = Load(attribute.payload, zone); break;
    }
    if (!good) return false;
  }
  if (walk.malformed()) return false;

  // CTA_ZONE is the zone of both directions. A zone of only the original direction is in its tuple instead
  // (ctnetlink_dump_zone_id) and overrides it, as when the kernel parses them. A zone only in the reply's tuple leaves
  // this direction in zone 0.
  event.key.zone = zone;
  return DecodeTuple(tuple, event.key) && DecodeProtocolInfo(protocol_info, event) &&
         DecodeTimestamps(timestamps, event);
}

}  // namespace

DecodeOutcome DecodeFlow(std::span<const std::byte> message, FlowEvent& event) {
  MessageHeader header;
  if (!ReadMessageHeader(message, header)) return DecodeOutcome::kMalformed;

  FlowEvent decoded;
  switch (header.type) {
    case NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW: {
      constexpr unsigned kCreated = NLM_F_CREATE | NLM_F_EXCL;
      decoded.kind = (header.flags & kCreated) == kCreated ? EventKind::kNew : EventKind::kUpdate;
      break;
    }
    case NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE: decoded.kind = EventKind::kDestroy; break;
    default: return DecodeOutcome::kControl;
  }

  if (header.length_bytes < kFlowHeaderBytes) return DecodeOutcome::kMalformed;
  switch (std::to_integer<int>(message[MessageHeader::kBytes])) {  // nfgen_family
    case AF_INET: decoded.key.family = Family::kIpv4; break;
    case AF_INET6: decoded.key.family = Family::kIpv6; break;
    default: return DecodeOutcome::kUnsupported;
  }

  const Bytes attributes = message.first(header.length_bytes).subspan(kFlowHeaderBytes);
  if (!DecodeAttributes(attributes, decoded)) return DecodeOutcome::kMalformed;
  event = decoded;
  return DecodeOutcome::kFlow;
}

std::optional<FlowKey> DecodeReply(std::span<const std::byte> message) {
  const auto read = ReadNetfilterMessage(message);
  if (!read || (read->family != AF_INET && read->family != AF_INET6)) return std::nullopt;
  FlowKey reply;
  reply.family = read->family == AF_INET ? Family::kIpv4 : Family::kIpv6;
  Bytes tuple;
  EventAttributeWalk walk(read->attributes);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == CTA_TUPLE_REPLY && !Keep(attribute.payload, tuple)) return std::nullopt;
    if (attribute.type == CTA_ZONE && !Load(attribute.payload, reply.zone)) return std::nullopt;
  }
  if (walk.malformed() || !DecodeTuple(tuple, reply)) return std::nullopt;
  return reply;
}

}  // namespace conntally
