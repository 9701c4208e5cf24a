// What a rule asks of a packet. Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectors/addresses/ranges.h"

namespace conntally {

// One thing a packet must satisfy. The values of a condition are alternatives: any one of them is enough, and with
// `negated` none of them may hold. A rule's conditions must all hold.
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
    kReversePath,        // numbers: 1: there is a way back to the source over the interface that it came in by
    kTuple,              // alternatives: each is conditions that must all hold (a set of concatenations)
  };
  Kind kind = Kind::kSource;
  bool negated = false;
  std::vector<AddressRange> addresses;
  std::vector<NumberRange> numbers;
  std::vector<std::string> interfaces;  // one that ends in '*' stands for all names that begin so
  // A named set (nftables: of the rule's family and table; else an ipset): its elements are in the snapshot. Elements
  // of anonymous sets stand in `addresses`, `numbers` and `interfaces`.
  std::string set;
  bool ipset = false;
  std::vector<std::vector<RuleCondition>> alternatives = {};  // of kTuple
};

}  // namespace conntally
