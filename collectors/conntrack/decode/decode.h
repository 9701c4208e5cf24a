// Decodes ctnetlink messages. Pure functions of bytes: no allocation, no system call, any thread.
// Nothing in a message is trusted; every length is checked against the bytes at hand.
//
// Source: linux/netfilter/nfnetlink_conntrack.h and net/netfilter/nf_conntrack_netlink.c
// (ctnetlink_conntrack_event and ctnetlink_fill_info, which write what is read here).
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "collectors/conntrack/decode/flow_event.h"

namespace conntally {

enum class DecodeOutcome {
  kFlow,         // `event` is filled in whole
  kControl,      // netlink's own (NLMSG_DONE, NLMSG_ERROR, …), another subsystem's, statistics: no flow
  kUnsupported,  // a flow of an address family other than IPv4 and IPv6
  kMalformed,    // truncated, contradictory, or without a whole original tuple: count it and go on
};

// `message` is exactly one netlink message: it starts at a nlmsghdr and reaches to its nlmsg_len, or
// further (what lies beyond nlmsg_len is not read). It needs no alignment. `event` is written only when
// kFlow is returned.
//
// Attributes that a flow event has no field for are passed over unread, whatever they hold. Of one that
// comes twice the last counts. Ports that are absent are 0. test/support/conntrack_oracle.h says where
// this is stricter than libnetfilter_conntrack.
[[nodiscard]] DecodeOutcome DecodeFlow(std::span<const std::byte> message, FlowEvent& event);

// The reply direction's tuple and zone, as its packets have them: its source is who answers. Of a message of which
// DecodeFlow made a flow; nullopt where it has no whole reply tuple.
[[nodiscard]] std::optional<FlowKey> DecodeReply(std::span<const std::byte> message);

}  // namespace conntally
