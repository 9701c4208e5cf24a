// The names of protocols and states as conntrack(8) writes them, in lower case. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "collectors/tally/flow_totals.h"

namespace conntally {

// "tcp", "udp", …; the IANA number where there is no common name.
std::string ProtocolName(std::uint8_t protocol);

// "syn_sent", "established", … for TCP, otherwise "replied" or "unreplied".
std::string StateName(FlowStateIndex index);

}  // namespace conntally
