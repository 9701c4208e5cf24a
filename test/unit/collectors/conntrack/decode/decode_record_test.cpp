// Records of the program in the kernel, against what the same connection's message by netlink means.
#include "collectors/conntrack/decode/decode_record.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

#include "test/support/catch.h"

using namespace conntally;

namespace {

constexpr unsigned char About(unsigned family, unsigned kind, unsigned state = 0) {
  return static_cast<unsigned char>(family << EVENT_FAMILY_SHIFT | kind << EVENT_KIND_SHIFT |
                                    state << EVENT_TCP_STATE_SHIFT);
}

conntrack_event_record Record(unsigned char about, std::uint8_t protocol) {
  conntrack_event_record record{};
  record.source[0] = htonl(0xc0000207);
  record.destination[0] = htonl(0xc6336401);
  record.source_port = htons(40'000);
  record.destination_port = htons(443);
  record.protocol = protocol;
  record.about = about;
  return record;
}

}  // namespace

TEST_CASE("a TCP connection's record gives its tuple, status and state") {
  conntrack_event_record record = Record(About(EVENT_FAMILY_IPV4, EVENT_UPDATE, 3), IPPROTO_TCP);
  record.status = IPS_SEEN_REPLY | IPS_CONFIRMED;
  record.zone = 5;
  FlowEvent event;
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK(event.kind == EventKind::kUpdate);
  CHECK(event.key.SourceAddress().ToString() == "192.0.2.7");
  CHECK(event.key.destination[3] == 1);
  CHECK(event.key.source_port == 40'000);
  CHECK(event.key.destination_port == 443);
  CHECK(event.key.zone == 5);
  CHECK(event.key.family == Family::kIpv4);
  CHECK((event.has_status && event.status == record.status));
  CHECK((event.has_tcp_state && event.tcp_state == TcpState::kEstablished));
  CHECK(event.id == 0);
  CHECK(event.start_ns == 0);
}

TEST_CASE("type and code of ICMP stand where a destination port does") {
  conntrack_event_record record = Record(About(EVENT_FAMILY_IPV4, EVENT_NEW), IPPROTO_ICMP);
  record.source_port = htons(77);
  const unsigned char type_and_code[] = {8, 3};
  std::memcpy(&record.destination_port, type_and_code, 2);
  FlowEvent event;
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK(event.kind == EventKind::kNew);
  CHECK(event.key.source_port == 77);
  CHECK(event.key.destination_port == (8 << 8 | 3));
  CHECK_FALSE(event.has_tcp_state);
}

TEST_CASE("an IPv6 address is whole, and of IPv4 only four bytes are taken") {
  conntrack_event_record record = Record(About(EVENT_FAMILY_IPV6, EVENT_DESTROY), IPPROTO_UDP);
  for (unsigned& word : record.source) word = htonl(0x20010db8);
  FlowEvent event;
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK(event.key.SourceAddress().ToString() == "2001:db8:2001:db8:2001:db8:2001:db8");
  record.about = About(EVENT_FAMILY_IPV4, EVENT_DESTROY);
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK(event.key.source[4] == 0);
}

TEST_CASE("how long a connection lasted is told by its end alone") {
  conntrack_event_record record = Record(About(EVENT_FAMILY_IPV4, EVENT_DESTROY), IPPROTO_UDP);
  record.lasted_ns = 2'500'000'000;
  FlowEvent event;
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK(event.start_ns == 0);
  record.lasted_known = 1;
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK((event.start_ns != 0 && event.stop_ns - event.start_ns == 2'500'000'000));
  record.lasted_ns = UINT64_MAX;
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK(event.stop_ns >= event.start_ns);
  record.about = About(EVENT_FAMILY_IPV4, EVENT_NEW);
  REQUIRE(DecodeFlow(record, event) == DecodeOutcome::kFlow);
  CHECK(event.start_ns == 0);
}

TEST_CASE("what is no record is refused, and leaves the event as it was") {
  FlowEvent event;
  event.id = 9;
  CHECK(DecodeFlow(Record(About(EVENT_FAMILY_OTHER, EVENT_NEW), 6), event) == DecodeOutcome::kUnsupported);
  CHECK(DecodeFlow(Record(About(3, EVENT_NEW), 6), event) == DecodeOutcome::kMalformed);
  CHECK(DecodeFlow(Record(About(EVENT_FAMILY_IPV4, 3), 6), event) == DecodeOutcome::kMalformed);
  CHECK(DecodeFlow(Record(About(EVENT_FAMILY_IPV4, EVENT_NEW, kTcpStates), 6), event) == DecodeOutcome::kMalformed);
  CHECK(event.id == 9);
}
