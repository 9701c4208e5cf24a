// The conditions of a rule. Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectors/addresses/ranges.h"

namespace conntally {

// One condition on a packet. Its values are alternatives: any one of them suffices; with `negated` none may match. All
// conditions of a rule must hold.
struct RuleCondition {
  enum class Kind : std::uint8_t {
    kSource,           // addresses, or `set`
    kDestination,      // addresses, or `set`
    kFamily,           // numbers: NFPROTO_IPV4 (2) or NFPROTO_IPV6 (10)
    kProtocol,         // numbers: IPPROTO_*
    kSourcePort,       // numbers
    kDestinationPort,  // numbers
    kInInterface,      // interfaces
    kOutInterface,     // interfaces
    kConntrackState,  // numbers: NF_CT_STATE_BITs: invalid 1, established 2, related 4, new 8, untracked 64; any bit is
                      // enough
    kIcmpType,        // numbers
    kTcpFlags,        // numbers: first is the value, last the mask
    kIcmpCode,        // numbers
    kInInterfaceIndex,   // numbers
    kOutInterfaceIndex,  // numbers
    kMark,               // numbers: first is the value, last the mask
    kConntrackStatus,    // numbers: IPS_* bits; any bit is enough. Known here: IPS_SRC_NAT 16, IPS_DST_NAT 32
    kSourceType,         // numbers: RTN_*: unicast 1, local 2, broadcast 3, multicast 5 ...
    kDestinationType,    // as kSourceType
    kPacketType,         // numbers: PACKET_*: host 0, broadcast 1, multicast 2
    kReversePath,        // numbers: 1: the route back to the source leaves by the packet's incoming interface
    kTuple,              // alternatives: each is conditions that must all hold (a set of concatenations)
  };
  Kind kind = Kind::kSource;
  bool negated = false;
  std::vector<AddressRange> addresses;
  std::vector<NumberRange> numbers;
  std::vector<std::string> interfaces;  // a trailing '*' is a wildcard
  // A named set (nftables: of the rule's family and table; else an ipset): its elements are in the reading. Elements of
  // anonymous sets are in `addresses`, `numbers` and `interfaces`.
  std::string set;
  bool ipset = false;
  std::vector<std::vector<RuleCondition>> alternatives = {};  // of kTuple
};

}  // namespace conntally
