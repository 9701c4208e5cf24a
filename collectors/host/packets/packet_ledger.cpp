#include <netinet/in.h>

#include <algorithm>

#include "collectors/host/packets/packet_bytes.h"
#include "collectors/host/packets/packet_watch.h"

namespace conntally {
namespace {

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kReset = 0x04;
constexpr std::uint8_t kAck = 0x10;
constexpr std::uint8_t kUnreachable4 = 3;  // ICMP
constexpr std::uint8_t kUnreachable6 = 1;  // ICMPv6

struct IpHeader {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  Bytes payload;
};

std::optional<IpHeader> ReadIpHeader(Bytes bytes) {
  if (bytes.empty()) return std::nullopt;
  IpHeader header;
  const unsigned version = Octet(bytes, 0) >> 4;
  if (version == 4) {
    const std::size_t length = (Octet(bytes, 0) & 0xfU) * 4U;
    if (length < 20 || bytes.size() < length) return std::nullopt;
    if ((LoadNetworkOrder<std::uint16_t>(bytes.subspan(6)) & 0x1fff) != 0) return std::nullopt;  // a later fragment
    header.protocol = Octet(bytes, 9);
    header.source = AddressAt(bytes, 12, Family::kIpv4);
    header.destination = AddressAt(bytes, 16, Family::kIpv4);
    header.payload = bytes.subspan(length);
    return header;
  }
  if (version != 6 || bytes.size() < 40) return std::nullopt;
  header.protocol = Octet(bytes, 6);  // extension headers are rare before a handshake, and are ignored
  header.source = AddressAt(bytes, 8, Family::kIpv6);
  header.destination = AddressAt(bytes, 24, Family::kIpv6);
  header.payload = bytes.subspan(40);
  return header;
}

}  // namespace

struct PacketLedger::Packet {
  Key key{};
  std::uint8_t tcp_flags = 0;
  bool unreachable = false;
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  IpAddress sender{};  // of an ICMP message; `key` is then that of the packet that it answers
};

std::optional<PacketLedger::Packet> PacketLedger::Read(Bytes bytes) {
  auto header = ReadIpHeader(bytes);
  if (!header) return std::nullopt;
  Packet packet;
  const bool is_icmp = header->protocol == IPPROTO_ICMP || header->protocol == IPPROTO_ICMPV6;
  if (is_icmp) {
    if (header->payload.size() < kIcmpHeaderBytes) return std::nullopt;
    packet.unreachable = true;
    packet.icmp_type = Octet(header->payload, 0);
    packet.icmp_code = Octet(header->payload, 1);
    // "Packet too long" is not an answer to a request.
    if (header->protocol == IPPROTO_ICMP && packet.icmp_code == kTooLong4) return std::nullopt;
    if (packet.icmp_type != (header->protocol == IPPROTO_ICMP ? kUnreachable4 : kUnreachable6)) return std::nullopt;
    packet.sender = header->source;
    header = ReadIpHeader(header->payload.subspan(kIcmpHeaderBytes));
    if (!header) return std::nullopt;
  }
  if ((header->protocol != IPPROTO_TCP && header->protocol != IPPROTO_UDP) || header->payload.size() < 4)
    return std::nullopt;
  packet.key = {header->source, header->destination, LoadNetworkOrder<std::uint16_t>(header->payload),
                LoadNetworkOrder<std::uint16_t>(header->payload.subspan(2)), header->protocol};
  if (header->protocol == IPPROTO_TCP && !is_icmp) {
    if (header->payload.size() < 14) return std::nullopt;
    packet.tcp_flags = Octet(header->payload, 13);
  }
  return packet;
}

bool PacketLedger::IsAskedFor(const Key& key) const {
  if (filter_.source && key.source != *filter_.source) return false;
  if (filter_.destination && key.destination != *filter_.destination) return false;
  if (filter_.destination_port && key.destination_port != *filter_.destination_port) return false;
  return key.protocol == filter_.protocol.value_or(std::uint8_t{IPPROTO_TCP});
}

void PacketLedger::Take(Bytes bytes, Way way, std::uint32_t link, std::chrono::microseconds when) {
  const auto packet = Read(bytes);
  if (!packet) return;
  const Key& key = packet->key;
  const Key reversed{key.destination, key.source, key.destination_port, key.source_port, key.protocol};
  if (packet->unreachable) return TakeAnswer(key, WatchedFlow::Answer::kUnreachable, way, link, *packet);
  if (key.protocol == IPPROTO_UDP) {
    if (flows_.contains(reversed)) return TakeAnswer(reversed, WatchedFlow::Answer::kAccepted, way, link, *packet);
    return TakeRequest(key, way, link, when);
  }
  if ((packet->tcp_flags & kReset) != 0) return TakeAnswer(reversed, WatchedFlow::Answer::kReset, way, link, *packet);
  if ((packet->tcp_flags & kSyn) == 0) return;
  if ((packet->tcp_flags & kAck) != 0) return TakeAnswer(reversed, WatchedFlow::Answer::kAccepted, way, link, *packet);
  TakeRequest(key, way, link, when);
}

void PacketLedger::TakeRequest(const Key& key, Way way, std::uint32_t link, std::chrono::microseconds when) {
  if (!IsAskedFor(key)) return;
  auto found = flows_.find(key);
  if (found == flows_.end()) {
    if (flows_.size() >= kFlowsMax) {
      ++left_out_;
      return;
    }
    WatchedFlow flow;
    flow.source = key.source;
    flow.destination = key.destination;
    flow.source_port = key.source_port;
    flow.destination_port = key.destination_port;
    flow.protocol = key.protocol;
    found = flows_.emplace(key, flow).first;
  }
  WatchedFlow& flow = found->second;
  if (way == Way::kLeaving) {
    flow.out_link = link;
    if (flow.in_link == 0) {  // otherwise it is the arrived request, leaving again
      ++flow.requests;
      flow.asked_again += key.protocol == IPPROTO_TCP && flow.answer == WatchedFlow::Answer::kAccepted;
    }
  } else {
    flow.in_link = link;
    ++flow.requests;
    flow.asked_again += flow.answered_by_link != 0;
  }
  flow.last_request = when;
}

void PacketLedger::TakeAnswer(const Key& request, WatchedFlow::Answer answer, Way way, std::uint32_t link,
                              const Packet& packet) {
  const auto found = flows_.find(request);
  if (found == flows_.end()) return;
  WatchedFlow& flow = found->second;
  // An answer that is to be forwarded may be dropped yet.
  if (way == Way::kArriving && flow.in_link != 0) {
    flow.answer_arrived = flow.answer_arrived || flow.answer == WatchedFlow::Answer::kNone;
    return;
  }
  // The first one: the links below a bridge or a VLAN see the answer again.
  if (way == Way::kLeaving && flow.answered_by_link == 0) flow.answered_by_link = link;
  // A reset after the handshake ends an accepted connection.
  if (flow.answer == WatchedFlow::Answer::kNone) {
    flow.answer = answer;
    flow.answered_from_here = way == Way::kLeaving && !flow.answer_arrived;
    flow.icmp_type = packet.icmp_type;
    flow.icmp_code = packet.icmp_code;
    if (answer == WatchedFlow::Answer::kUnreachable) flow.answered_by = packet.sender;
  }
}

WatchedPackets PacketLedger::Close(std::chrono::microseconds lasted, std::uint64_t packets_lost) const {
  WatchedPackets watched;
  watched.lasted = lasted;
  watched.flows_left_out = left_out_;
  watched.packets_lost = packets_lost;
  watched.flows.reserve(flows_.size());
  for (const auto& [key, flow] : flows_) watched.flows.push_back(flow);
  return watched;
}

}  // namespace conntally
