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
// Sooner, another link sees the same packet. TCP repeats a request after a second.
constexpr std::chrono::milliseconds kCopiesWithin{100};
constexpr std::chrono::seconds kGoesOnWithin{1};

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

bool WatchedPackets::IsAnswerLost(const WatchedFlow& flow) const {
  if (flow.answer != WatchedFlow::Answer::kAccepted || flow.protocol == IPPROTO_UDP) return false;
  if (flow.acknowledged == true) return false;
  const bool silent = flow.acknowledged == false && lasted - flow.answered_at >= kGoesOnWithin;
  return silent || flow.asked_again > 0 || flow.answered_again > 0;
}

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
    packet.sequence = LoadNetworkOrder<std::uint32_t>(header->payload.subspan(4));
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
  auto packet = Read(bytes);
  if (!packet) return;
  packet->way = way, packet->link = link, packet->when = when;
  const Key& key = packet->key;
  const Key reversed{key.destination, key.source, key.destination_port, key.source_port, key.protocol};
  if (packet->unreachable) return TakeAnswer(key, WatchedFlow::Answer::kUnreachable, *packet);
  if (key.protocol == IPPROTO_UDP) {
    if (flows_.contains(reversed)) return TakeAnswer(reversed, WatchedFlow::Answer::kAccepted, *packet);
    if (const Key* asked = AskedOfAnother(*packet)) {
      packet->sender = key.source;
      return TakeAnswer(*asked, WatchedFlow::Answer::kFromAnother, *packet);
    }
    return TakeRequest(*packet);
  }
  if ((packet->tcp_flags & kReset) != 0) {
    // Who resets what was accepted has got the answer, as a scanner or a health check.
    if (const auto asked = flows_.find(key); asked != flows_.end()) asked->second.flow.acknowledged = true;
    return TakeAnswer(reversed, WatchedFlow::Answer::kReset, *packet);
  }
  if ((packet->tcp_flags & kSyn) == 0) return;
  if ((packet->tcp_flags & kAck) != 0) return TakeAnswer(reversed, WatchedFlow::Answer::kAccepted, *packet);
  TakeRequest(*packet);
}

// A request that came by another link, with another destination, has its sequence number. A scanner's requests may all
// have the same, but come by one link.
PacketLedger::Seen* PacketLedger::FindTranslated(const Packet& request) {
  const auto asked = sockets_.find({request.key.source, request.key.source_port});
  if (request.key.protocol != IPPROTO_TCP || asked == sockets_.end()) return nullptr;
  Seen& seen = flows_.at(asked->second);
  const bool later = seen.flow.in_link != 0 && (request.way == Way::kLeaving || request.link != seen.first_link);
  if (!later || seen.sequence != request.sequence || request.when - seen.flow.last_request > kCopiesWithin)
    return nullptr;
  if (translated_.size() >= kFlowsMax) {
    ++left_out_;
    return nullptr;
  }
  translated_[request.key] = asked->second;
  return &seen;
}

// The request to another address of whoever answers: a socket that is bound to none answers from the route's.
const PacketLedger::Key* PacketLedger::AskedOfAnother(const Packet& answer) const {
  const auto asked = sockets_.find({answer.key.destination, answer.key.destination_port});
  if (asked == sockets_.end() || asked->second.destination_port != answer.key.source_port) return nullptr;
  // Between peers that use one port, as for NTP, it is rather a request.
  if (answer.key.source_port == answer.key.destination_port) return nullptr;
  // What is to be forwarded may be translated yet.
  if (answer.way == Way::kArriving && flows_.at(asked->second).flow.in_link != 0) return nullptr;
  return &asked->second;
}

void PacketLedger::TakeRequest(const Packet& packet) {
  const Key& key = packet.key;
  const auto found = flows_.find(key);
  Seen* seen = found != flows_.end() ? &found->second : FindTranslated(packet);
  if (seen == nullptr) {
    if (!IsAskedFor(key)) return;
    if (flows_.size() >= kFlowsMax) {
      ++left_out_;
      return;
    }
    seen = &flows_[key];
    seen->flow.source = key.source;
    seen->flow.destination = key.destination;
    seen->flow.source_port = key.source_port;
    seen->flow.destination_port = key.destination_port;
    seen->flow.protocol = key.protocol;
    seen->sequence = packet.sequence;
    sockets_[{key.source, key.source_port}] = key;
  }
  WatchedFlow& flow = seen->flow;
  if (flow.requests == 0 || packet.when - flow.last_request > kCopiesWithin) seen->first_link = packet.link;
  const bool counts = seen->first_link == packet.link;
  // Ports are used again: then it is another connection.
  const bool again = seen->sequence == packet.sequence;
  seen->sequence = packet.sequence;
  if (packet.way == Way::kLeaving) {
    flow.out_link = packet.link;
    if (counts && flow.in_link == 0) {  // otherwise it is the arrived request, leaving again
      ++flow.requests;
      flow.asked_again += again && key.protocol == IPPROTO_TCP && flow.answer == WatchedFlow::Answer::kAccepted;
    }
  } else {
    flow.in_link = packet.link;
    flow.requests += counts;
    flow.asked_again += counts && again && flow.answered_by_link != 0;
  }
  flow.last_request = packet.when;
}

void PacketLedger::TakeAnswer(const Key& request, WatchedFlow::Answer answer, const Packet& packet) {
  const auto alias = translated_.find(request);
  // A translated answer is none before it has the address that was asked.
  if (alias != translated_.end() && packet.way != Way::kArriving) return;
  const auto found = flows_.find(alias != translated_.end() ? alias->second : request);
  if (found == flows_.end()) return;
  Seen& seen = found->second;
  WatchedFlow& flow = seen.flow;
  // An answer that is to be forwarded may be dropped yet.
  if (packet.way == Way::kArriving && flow.in_link != 0) {
    flow.answer_arrived = flow.answer_arrived || flow.answer == WatchedFlow::Answer::kNone;
    return;
  }
  // The first one: the links below a bridge or a VLAN see the answer again.
  if (packet.way != Way::kArriving && flow.answered_by_link == 0) flow.answered_by_link = packet.link;
  if (answer == WatchedFlow::Answer::kAccepted && flow.answer == answer) {
    flow.answered_again += packet.link == seen.answer_link && packet.sequence == seen.answer_sequence;
    seen.answer_sequence = packet.sequence;
  }
  // A reset after the handshake ends an accepted connection.
  if (flow.answer == WatchedFlow::Answer::kNone || flow.answer == WatchedFlow::Answer::kFromAnother) {
    flow.answer = answer;
    flow.answered_from_here = packet.way != Way::kArriving && !flow.answer_arrived;
    flow.answered_at = packet.when;
    flow.icmp_type = packet.icmp_type;
    flow.icmp_code = packet.icmp_code;
    flow.answered_by.reset();
    if (answer == WatchedFlow::Answer::kUnreachable || answer == WatchedFlow::Answer::kFromAnother)
      flow.answered_by = packet.sender;
    seen.answer_link = packet.link;
    seen.answer_sequence = packet.sequence;
  }
}

WatchedPackets PacketLedger::Close(std::chrono::microseconds lasted, std::uint64_t packets_lost) const {
  WatchedPackets watched;
  watched.lasted = lasted;
  watched.flows_left_out = left_out_;
  watched.packets_lost = packets_lost;
  watched.flows.reserve(flows_.size());
  for (const auto& [key, seen] : flows_) watched.flows.push_back(seen.flow);
  return watched;
}

}  // namespace conntally
