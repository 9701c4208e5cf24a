// Decodes ctnetlink messages. Pure functions of bytes: no allocation, no system call, any thread. Trusts nothing in a
// message: checks every length against the available bytes.
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
  kMalformed,    // truncated, contradictory, or without a complete original tuple: count it and continue
};

// `message` is exactly one netlink message: it starts at a nlmsghdr and reaches to its nlmsg_len, or further (bytes
// beyond nlmsg_len are not read). It needs no alignment. `event` is written only if kFlow is returned.
//
// Skips attributes that a flow event has no field for. If an attribute comes twice, the last one counts. Absent ports
// are 0. test/support/conntrack_oracle.h says where this is stricter than libnetfilter_conntrack.
[[nodiscard]] DecodeOutcome DecodeFlow(std::span<const std::byte> message, FlowEvent& event);

// The reply direction's tuple and zone: its source is the host that answers. For a message that DecodeFlow decoded as a
// flow; nullopt if it has no complete reply tuple.
[[nodiscard]] std::optional<FlowKey> DecodeReply(std::span<const std::byte> message);

}  // namespace conntally
