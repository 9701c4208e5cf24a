// The names of protocols and states as in conntrack(8), in lower case, and which protocols have ports. Pure; any
// thread.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>

#include "collectors/tally/flow_totals.h"

namespace conntally {

// "tcp", "udp", …; the IANA number where there is no common name.
std::string ProtocolName(std::uint8_t protocol);

constexpr bool HasPorts(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
         protocol == IPPROTO_UDPLITE;
}

// "syn_sent", "established", … for TCP, otherwise "replied" or "unreplied".
std::string StateName(FlowStateIndex index);

}  // namespace conntally
