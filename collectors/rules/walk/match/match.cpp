#include "collectors/rules/walk/match/match.h"

namespace conntally {

std::string WordsOf(const Answer& answer, const std::string& not_understood) {
  const std::string set = answer.about != nullptr ? answer.about->set : std::string();
  switch (answer.why) {
    case Why::kHeldNeither:
    case Why::kHeldBoth:
    case Why::kSetChanged: return "the set " + set + " changed";
    case Why::kSetUnread: return "the set " + set + " could not be read";
    case Why::kSetNotWhole: return "the set " + set + " could not be read whole";
    case Why::kSetKeyUndecoded: return "a set's key is not decoded";
    case Why::kMapKeyUndecoded: return "its map's key is not decoded";
    case Why::kElementMayBeGone: return "an element of its map may have timed out";
    case Why::kUndecoded:
      return "it asks what is not decoded (" + (not_understood.empty() ? "a part of it" : not_understood) + ")";
    case Why::kSource: return "the source is not known";
    case Why::kDestination: return "the destination is not known";
    case Why::kProtocol: return "the protocol is not known";
    case Why::kSourcePort: return "the source port is not known";
    case Why::kDestinationPort: return "the destination port is not known";
    case Why::kWayIn: return "the interface that it arrives by is not known";
    case Why::kWayOut: return "the interface that it leaves by is not known";
    case Why::kState: return "the connection's state is not known";
    case Why::kStatus: return "the connection's status is not known";
    case Why::kIcmpType: return "the ICMP type is not known";
    case Why::kIcmpCode: return "the ICMP code is not known";
    case Why::kTcpFlags: return "the TCP flags are not known";
    case Why::kMark: return "the packet's mark is not known";
    case Why::kAddressType: return "the kind of address is not known";
    case Why::kPacketType: return "the packet type is not known";
    case Why::kReversePath: return "the way back is not known";
    case Why::kLimit: return "whether its limit is reached is not known";
  }
  return {};
}

}  // namespace conntally
