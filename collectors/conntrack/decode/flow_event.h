// One conntrack message about one flow, in the kernel's own terms. A plain value: the decoder writes it, all later
// steps read it. Pure; any thread.
//
// Sources: linux/netfilter/nfnetlink_conntrack.h (attributes), nf_conntrack_common.h (status bits),
// nf_conntrack_tcp.h (TCP states).
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "collectors/addresses/address.h"

namespace conntally {

// A flow's identity while it lives: the original direction's tuple and its zone. Two live entries of one network
// namespace never share it (net/netfilter/nf_conntrack_core.c, nf_ct_key_equal); CTA_ID is *not* unique, and is only a
// cross-check.
struct FlowKey {
  std::array<std::uint8_t, 16> source{};       // network byte order; IPv4 in the first 4 bytes
  std::array<std::uint8_t, 16> destination{};  // as the source
  std::uint16_t source_port = 0;               // host order; ICMP and ICMPv6: the id; GRE: the key
  std::uint16_t destination_port = 0;          // host order; ICMP and ICMPv6: type << 8 | code
  std::uint16_t zone = 0;                      // the zone of the original direction
  std::uint8_t protocol = 0;                   // IANA number
  Family family = Family::kIpv4;

  friend auto operator<=>(const FlowKey&, const FlowKey&) = default;
  IpAddress SourceAddress() const { return {source, family}; }
};

// enum tcp_conntrack, by its wire values.
enum class TcpState : std::uint8_t {
  kNone,
  kSynSent,
  kSynRecv,
  kEstablished,
  kFinWait,
  kCloseWait,
  kLastAck,
  kTimeWait,
  kClose,
  kSynSent2,
};
inline constexpr unsigned kTcpStates = 10;

enum class EventKind : std::uint8_t {
  kNew,      // IPCTNL_MSG_CT_NEW with NLM_F_CREATE | NLM_F_EXCL
  kUpdate,   // IPCTNL_MSG_CT_NEW without these flags: a change of a live entry, or an entry of a dump
  kDestroy,  // IPCTNL_MSG_CT_DELETE
};

struct FlowEvent {
  FlowKey key;
  EventKind kind = EventKind::kUpdate;
  TcpState tcp_state = TcpState::kNone;  // valid when has_tcp_state
  bool has_tcp_state = false;
  bool has_status = false;
  std::uint32_t status = 0;    // IPS_* bits, valid when has_status
  std::uint32_t id = 0;        // CTA_ID, 0 when absent
  std::uint64_t start_ns = 0;  // CTA_TIMESTAMP_START, ns since the epoch; 0 when nf_conntrack_timestamp is off
  std::uint64_t stop_ns = 0;   // CTA_TIMESTAMP_STOP, likewise (DESTROY only)
};

}  // namespace conntally
