// Messages that no kernel sends. Each is also shown to the oracle, whose header has the exceptions.
#include "collectors/conntrack/decode/decode.h"

#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "test/support/catch.h"
#include "test/support/conntrack_oracle.h"
#include "test/support/message_builder.h"

namespace conntally::test {
namespace {

const Buffer kAddresses = Nest(CTA_TUPLE_IP, {Field(CTA_IP_V4_SRC, 0xc0000207U), Field(CTA_IP_V4_DST, 0xc6336401U)});
const Buffer kAddresses6 = Nest(
    CTA_TUPLE_IP, {Field(CTA_IP_V6_SRC, Buffer(16, std::byte{1})), Field(CTA_IP_V6_DST, Buffer(16, std::byte{2}))});
const Buffer kUdp = Nest(
    CTA_TUPLE_PROTO, {Field(CTA_PROTO_NUM, std::uint8_t{IPPROTO_UDP}), Field(CTA_PROTO_SRC_PORT, std::uint16_t{4000}),
                      Field(CTA_PROTO_DST_PORT, std::uint16_t{53})});
const Buffer kTuple = Nest(CTA_TUPLE_ORIG, {kAddresses, kUdp});

DecodeOutcome Decode(const Buffer& message, FlowEvent& event) {
  const OracleReport report = CompareWithOracle(message);
  INFO(report.text);
  CHECK(report.comparison != Comparison::kDisagreed);
  return DecodeFlow(message, event);
}

DecodeOutcome Decode(const Buffer& message) {
  FlowEvent event;
  return Decode(message, event);
}

Buffer Update(std::initializer_list<Buffer> attributes) { return Message(IPCTNL_MSG_CT_NEW, 0, AF_INET, attributes); }

Buffer TcpState(std::uint8_t state) {
  return Nest(CTA_PROTOINFO, {Nest(CTA_PROTOINFO_TCP, {Field(CTA_PROTOINFO_TCP_STATE, state)})});
}

}  // namespace

TEST_CASE("a tuple alone is a flow") {
  FlowEvent event;
  REQUIRE(Decode(Update({kTuple}), event) == DecodeOutcome::kFlow);
  CHECK(event.key.SourceAddress().ToString() == "192.0.2.7");
  CHECK(event.key.source_port == 4000);
  CHECK(event.key.destination_port == 53);
  CHECK_FALSE(event.has_status);
  CHECK_FALSE(event.has_tcp_state);
}

TEST_CASE("a flow needs both addresses and a protocol") {
  CHECK(Decode(Update({})) == DecodeOutcome::kMalformed);
  CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {})})) == DecodeOutcome::kMalformed);
  CHECK(Decode(Update({Nest(CTA_TUPLE_REPLY, {kAddresses, kUdp})})) == DecodeOutcome::kMalformed);
  CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {kAddresses})})) == DecodeOutcome::kMalformed);
  CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {kUdp})})) == DecodeOutcome::kMalformed);
  const Buffer half = Nest(CTA_TUPLE_IP, {Field(CTA_IP_V4_SRC, 1U)});
  CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {half, kUdp})})) == DecodeOutcome::kMalformed);
}

TEST_CASE("the event's kind is its type and both of its flags") {
  const auto kind = [](int type, int flags) {
    FlowEvent event;
    REQUIRE(Decode(Message(type, flags, AF_INET, {kTuple}), event) == DecodeOutcome::kFlow);
    return event.kind;
  };
  CHECK(kind(IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL) == EventKind::kNew);
  CHECK(kind(IPCTNL_MSG_CT_NEW, NLM_F_CREATE) == EventKind::kUpdate);
  CHECK(kind(IPCTNL_MSG_CT_NEW, NLM_F_MULTI) == EventKind::kUpdate);
  CHECK(kind(IPCTNL_MSG_CT_DELETE, 0) == EventKind::kDestroy);
  CHECK(kind(IPCTNL_MSG_CT_DELETE, NLM_F_CREATE | NLM_F_EXCL) == EventKind::kDestroy);
}

TEST_CASE("statistics, other subsystems and netlink's own messages are no flows") {
  CHECK(Decode(Message(IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC, {})) == DecodeOutcome::kControl);
  for (const int type : {NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN, NFNL_SUBSYS_CTNETLINK_EXP << 8}) {
    Buffer message = Update({kTuple});
    std::memcpy(message.data() + offsetof(nlmsghdr, nlmsg_type), &type, 2);
    CHECK(Decode(message) == DecodeOutcome::kControl);
  }
}

TEST_CASE("a bad nlmsg_len is malformed") {
  for (const std::uint32_t length : {0U, 1U, 15U, 16U, 19U, 0x7fffffffU, 0xffffffffU}) {
    Buffer message = Update({kTuple});
    std::memcpy(message.data(), &length, sizeof length);
    CHECK(Decode(message) == DecodeOutcome::kMalformed);
  }
}

TEST_CASE("another address family is not supported; a contradicting one is malformed") {
  CHECK(Decode(Message(IPCTNL_MSG_CT_NEW, 0, AF_UNSPEC, {kTuple})) == DecodeOutcome::kUnsupported);
  CHECK(Decode(Message(IPCTNL_MSG_CT_NEW, 0, AF_BRIDGE, {})) == DecodeOutcome::kUnsupported);
  CHECK(Decode(Message(IPCTNL_MSG_CT_NEW, 0, AF_INET6, {kTuple})) == DecodeOutcome::kMalformed);
  CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {kAddresses6, kUdp})})) == DecodeOutcome::kMalformed);
  const Buffer both =
      Nest(CTA_TUPLE_IP, {Field(CTA_IP_V4_SRC, 1U), Field(CTA_IP_V4_DST, 2U), Field(CTA_IP_V6_SRC, Buffer(16))});
  CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {both, kUdp})})) == DecodeOutcome::kMalformed);
}

TEST_CASE("a wrong length of anything read is malformed, of anything else is not our business") {
  for (const int type : {CTA_STATUS, CTA_ID, CTA_ZONE, CTA_TUPLE_ORIG, CTA_PROTOINFO, CTA_TIMESTAMP}) {
    INFO(type);
    CHECK(Decode(Update({kTuple, Field(type, Buffer(3))})) == DecodeOutcome::kMalformed);
  }
  CHECK(Decode(Update({kTuple, Field(CTA_ID, std::uint64_t{1})})) == DecodeOutcome::kMalformed);
  CHECK(Decode(Update({kTuple, Field(CTA_MARK, Buffer(3))})) == DecodeOutcome::kFlow);
  CHECK(Decode(Update({kTuple, Field(CTA_TUPLE_REPLY, Buffer(3))})) == DecodeOutcome::kFlow);
}

TEST_CASE("a bad nla_len is malformed at any depth") {
  for (const std::size_t length : {0U, 1U, 3U, 0x40U, 0xffffU}) {
    INFO(length);
    const Buffer bad = RawAttribute(CTA_IP_V4_SRC, length, NetworkBytes(1U));
    CHECK(Decode(Update({kTuple, bad})) == DecodeOutcome::kMalformed);
    CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {kAddresses, kUdp, bad})})) == DecodeOutcome::kMalformed);
    CHECK(Decode(Update({Nest(CTA_TUPLE_ORIG, {Nest(CTA_TUPLE_IP, {bad}), kUdp})})) == DecodeOutcome::kMalformed);
    CHECK(Decode(Update({kTuple, Nest(CTA_TIMESTAMP, {bad})})) == DecodeOutcome::kMalformed);
    CHECK(Decode(Update({kTuple, Nest(CTA_PROTOINFO, {Nest(CTA_PROTOINFO_TCP, {bad})})})) == DecodeOutcome::kMalformed);
    CHECK(Decode(Update({kTuple, Nest(CTA_COUNTERS_ORIG, {bad})})) == DecodeOutcome::kFlow);  // not read
  }
}

TEST_CASE("bytes that are no attribute are malformed after the last one of anything read") {
  const Buffer tail = Field(CTA_UNSPEC, Buffer(1));
  const Buffer ends_early = RawAttribute(CTA_UNSPEC, 9, Buffer(4));
  const Buffer udp = Field(CTA_PROTO_NUM, std::uint8_t{IPPROTO_UDP});
  const auto messages = [&](const Buffer& end) {
    const Buffer addresses = Nest(CTA_TUPLE_IP, {Field(CTA_IP_V4_SRC, 1U), Field(CTA_IP_V4_DST, 2U), end});
    const Buffer state = Field(CTA_PROTOINFO_TCP_STATE, std::uint8_t{3});
    return std::vector{
        Update({kTuple, end}),
        Update({Nest(CTA_TUPLE_ORIG, {kAddresses, kUdp, end})}),
        Update({Nest(CTA_TUPLE_ORIG, {addresses, kUdp})}),
        Update({Nest(CTA_TUPLE_ORIG, {kAddresses, Nest(CTA_TUPLE_PROTO, {udp, end})})}),
        Update({kTuple, Nest(CTA_PROTOINFO, {Nest(CTA_PROTOINFO_TCP, {state}), end})}),
        Update({kTuple, Nest(CTA_PROTOINFO, {Nest(CTA_PROTOINFO_TCP, {state, end})})}),
        Update({kTuple, Nest(CTA_TIMESTAMP, {Field(CTA_TIMESTAMP_START, std::uint64_t{1}), end})}),
    };
  };
  for (const Buffer& message : messages(tail)) CHECK(Decode(message) == DecodeOutcome::kFlow);
  for (const Buffer& message : messages(ends_early)) CHECK(Decode(message) == DecodeOutcome::kMalformed);
}

TEST_CASE("of an attribute that comes twice the last one counts") {
  FlowEvent event;
  const Buffer other =
      Nest(CTA_TUPLE_ORIG, {kAddresses, Nest(CTA_TUPLE_PROTO, {Field(CTA_PROTO_NUM, std::uint8_t{50})})});
  REQUIRE(Decode(Update({kTuple, Field(CTA_ID, 1U), other, Field(CTA_ID, 2U)}), event) == DecodeOutcome::kFlow);
  CHECK(event.id == 2);
  CHECK(event.key.protocol == 50);
  CHECK(event.key.source_port == 0);  // nothing is left of the first tuple
  CHECK(Decode(Update({kTuple, Nest(CTA_TUPLE_ORIG, {})})) == DecodeOutcome::kMalformed);
  // The first one is not read, but has to be a nest.
  CHECK(Decode(Update({Field(CTA_TUPLE_ORIG, Buffer(4)), kTuple})) == DecodeOutcome::kFlow);
  CHECK(Decode(Update({Field(CTA_TUPLE_ORIG, Buffer(3)), kTuple})) == DecodeOutcome::kMalformed);
}

TEST_CASE("a TCP state past the last is malformed") {
  for (unsigned state = 0; state < 256; ++state)
    CHECK(Decode(Update({kTuple, TcpState(static_cast<std::uint8_t>(state))})) ==
          (state < kTcpStates ? DecodeOutcome::kFlow : DecodeOutcome::kMalformed));
}

TEST_CASE("a zone in the original tuple overrides one of both directions") {
  const Buffer zoned = Nest(CTA_TUPLE_ORIG, {kAddresses, kUdp, Field(CTA_TUPLE_ZONE, std::uint16_t{7})});
  FlowEvent event;
  REQUIRE(Decode(Update({zoned, Field(CTA_ZONE, std::uint16_t{9})}), event) == DecodeOutcome::kFlow);
  CHECK(event.key.zone == 7);
}

TEST_CASE("fields of another protocol are not read") {
  const Buffer mixed =
      Nest(CTA_TUPLE_PROTO,
           {Field(CTA_PROTO_SRC_PORT, std::uint16_t{1}), Field(CTA_PROTO_ICMP_ID, std::uint16_t{2}),
            Field(CTA_PROTO_ICMPV6_ID, std::uint16_t{3}), Field(CTA_PROTO_NUM, std::uint8_t{IPPROTO_ICMP})});
  FlowEvent event;
  REQUIRE(Decode(Update({Nest(CTA_TUPLE_ORIG, {kAddresses, mixed})}), event) == DecodeOutcome::kFlow);
  CHECK(event.key.source_port == 2);
}

TEST_CASE("what the oracle would crash on is read in safety") {
  const Buffer unterminated = Nest(CTA_HELP, {Field(CTA_HELP_NAME, Buffer(8, std::byte{'x'}))});
  CHECK(Decode(Update({kTuple, unterminated})) == DecodeOutcome::kFlow);
  CHECK(Decode(Update({kTuple, Nest(CTA_PROTOINFO, {Field(5, 1U)})})) == DecodeOutcome::kFlow);
}

TEST_CASE("attributes of a later kernel are passed over") {
  CHECK(Decode(Update({Field(0x3fff, Buffer(5)), kTuple, Field(200, Buffer()), Nest(201, {kTuple})})) ==
        DecodeOutcome::kFlow);
}

TEST_CASE("nothing is written unless a flow was read") {
  FlowEvent event;
  event.id = 77;
  CHECK(Decode(Update({kTuple, Field(CTA_ID, 5U), Field(CTA_STATUS, Buffer(3))}), event) == DecodeOutcome::kMalformed);
  CHECK(event.id == 77);
}

TEST_CASE("a nest in a nest in a nest is only as deep as we look") {
  Buffer deep = kTuple;
  for (int depth = 0; depth < 1000; ++depth) deep = Nest(CTA_TUPLE_ORIG, {deep});
  CHECK(Decode(Update({deep})) == DecodeOutcome::kMalformed);
}

}  // namespace conntally::test
