#include "collectors/tally/protocol_names.h"

#include <set>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("protocols are named as conntrack names them, the rest by number") {
  CHECK(ProtocolName(6) == "tcp");
  CHECK(ProtocolName(17) == "udp");
  CHECK(ProtocolName(1) == "icmp");
  CHECK(ProtocolName(58) == "icmpv6");
  CHECK(ProtocolName(132) == "sctp");
  CHECK(ProtocolName(47) == "gre");
  CHECK(ProtocolName(33) == "dccp");
  CHECK(ProtocolName(136) == "udplite");
  CHECK(ProtocolName(253) == "253");
}

TEST_CASE("TCP states have the names of the kernel's enumeration, others say whether there was a reply") {
  const std::array<const char*, 10> names = {"none",       "syn_sent", "syn_recv",  "established", "fin_wait",
                                             "close_wait", "last_ack", "time_wait", "close",       "syn_sent2"};
  for (std::size_t state = 0; state < names.size(); ++state)
    CHECK(StateName(FlowStateIndex::Tcp(static_cast<std::uint8_t>(state))) == names[state]);
  CHECK(StateName(FlowStateIndex::Other(17, true)) == "replied");
  CHECK(StateName(FlowStateIndex::Other(17, false)) == "unreplied");
}

TEST_CASE("no two indexes have the same labels, so no series comes twice") {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < FlowStateIndex::kCount; ++i) {
    const FlowStateIndex index(i);
    CHECK(seen.insert(ProtocolName(index.protocol()) + " " + StateName(index)).second);
  }
}
