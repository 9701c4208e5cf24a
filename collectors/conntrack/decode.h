// Decodes ctnetlink messages. Pure functions of bytes: no allocation, no system call, any thread.
// Nothing in a message is trusted; every length is checked against the bytes at hand.
//
// Source: linux/netfilter/nfnetlink_conntrack.h and net/netfilter/nf_conntrack_netlink.c
// (ctnetlink_conntrack_event and ctnetlink_fill_info, which write what is read here).
#pragma once

#include <cstddef>
#include <span>

#include "collectors/conntrack/flow_event.h"

namespace conntally {

enum class DecodeOutcome {
  kFlow,         // `event` is filled in whole
  kControl,      // a netlink control message (NLMSG_DONE, NLMSG_ERROR, …) or another subsystem's: not a flow
  kUnsupported,  // well-formed, of an address family other than IPv4 and IPv6
  kMalformed,    // truncated, contradictory, or without a whole original tuple: count it and go on
};

// `message` is exactly one netlink message: it starts at a nlmsghdr and reaches to its nlmsg_len, or
// further (what lies beyond nlmsg_len is not read). `event` is written only when kFlow is returned.
[[nodiscard]] DecodeOutcome DecodeFlow(std::span<const std::byte> message, FlowEvent& event);

}  // namespace conntally
