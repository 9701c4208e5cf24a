// The kernel's connections as a list, read once in detail: idle times, helpers, translation. For the tallies, which
// follow all events, see flow_tracker.h.
//
// Sources: linux/netfilter/nfnetlink_conntrack.h; net/netfilter/nf_conntrack_netlink.c (ctnetlink_fill_info).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "collectors/conntrack/decode/flow_event.h"
#include "collectors/netlink/attributes.h"
#include "collectors/system/result.h"

namespace conntally {

struct Connection {
  FlowKey key;                           // the original direction
  FlowKey reply;                         // the reply direction, as its packets are on the wire
  std::uint32_t status = 0;              // IPS_* bits: IPS_SEEN_REPLY, IPS_ASSURED, IPS_SRC_NAT, IPS_DST_NAT ...
  TcpState tcp_state = TcpState::kNone;  // TCP only
  bool has_helper = false;
  bool has_packets = false;           // nf_conntrack_acct is on
  std::uint32_t timeout_seconds = 0;  // until it expires, if no packet comes
  std::uint64_t start_ns = 0;         // since the epoch; 0: nf_conntrack_timestamp is off
  std::uint64_t packets_original = 0;
  std::uint64_t packets_reply = 0;
};

struct ConnectionList {
  std::vector<Connection> connections;
  std::uint64_t left_out = 0;  // beyond connections_max, or not understood
};

// Decodes one message of a dump. Pure. nullopt: not a connection of IPv4 or IPv6.
std::optional<Connection> DecodeConnection(Bytes message);

// The whole table of the calling thread's network namespace, up to `connections_max`. Needs CAP_NET_ADMIN. If the
// kernel interrupts the dump, it starts again.
Result<ConnectionList> ListConnections(std::size_t connections_max);

}  // namespace conntally
