// Translated connections as a dump would show them, put together by hand.
#pragma once

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>

#include <utility>

#include "collectors/conntrack/decode/flow_event.h"

namespace conntally::test {

struct Translated {
  const char* source = "10.0.0.2";
  std::uint16_t source_port = 40'000;
  const char* destination = "198.51.100.7";
  std::uint16_t destination_port = 443;
  const char* nat_address = "203.0.113.1";
  std::uint16_t nat_port = 40'000;
  std::uint8_t protocol = IPPROTO_TCP;
  std::uint32_t status = IPS_SRC_NAT;
  TcpState tcp_state = TcpState::kEstablished;
  std::uint16_t zone = 0;
  const char* answers_from = nullptr;  // where the destination is translated as well
  std::uint16_t answers_from_port = 0;
};

inline std::pair<FlowEvent, FlowKey> Dumped(const Translated& from) {
  FlowEvent flow;
  FlowKey reply;
  const IpAddress source = *IpAddress::Parse(from.source), destination = *IpAddress::Parse(from.destination);
  const bool icmp = from.protocol == IPPROTO_ICMP || from.protocol == IPPROTO_ICMPV6;
  flow.key.source = source.bytes;
  flow.key.destination = destination.bytes;
  flow.key.source_port = from.source_port;
  flow.key.destination_port = from.destination_port;
  flow.key.protocol = reply.protocol = from.protocol;
  flow.key.family = reply.family = source.family;
  flow.key.zone = reply.zone = from.zone;
  flow.has_status = true;
  flow.status = from.status;
  flow.tcp_state = from.tcp_state;
  reply.source = IpAddress::Parse(from.answers_from != nullptr ? from.answers_from : from.destination)->bytes;
  reply.destination = IpAddress::Parse(from.nat_address)->bytes;
  const std::uint16_t answers_from_port = from.answers_from != nullptr ? from.answers_from_port : from.destination_port;
  reply.source_port = icmp ? from.nat_port : answers_from_port;
  reply.destination_port = icmp ? std::uint16_t{0} : from.nat_port;
  return {flow, reply};
}

}  // namespace conntally::test
