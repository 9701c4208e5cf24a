// What the recorded scenarios must say, written down by hand from the traffic that was sent.
#include "collectors/conntrack/decode/decode.h"

#include <netinet/in.h>
#include <algorithm>

#include "test/support/catch.h"
#include "test/support/recording.h"

namespace conntally::test {
namespace {

constexpr std::uint32_t kSeenReply = 1U << 1;
constexpr std::uint32_t kExpected = 1U << 0;
constexpr std::uint32_t kSourceNat = 1U << 4;
constexpr std::uint32_t kDestinationNat = 1U << 5;

std::vector<FlowEvent> Flows(const std::string& scenario) {
  std::vector<FlowEvent> flows;
  const std::filesystem::path directory = CONNTALLY_CONNTRACK_RECORDINGS;
  for (const Buffer& message : Messages(ReadRecording(directory / (scenario + ".bin")))) {
    FlowEvent event;
    if (DecodeFlow(message, event) == DecodeOutcome::kFlow) flows.push_back(event);
  }
  return flows;
}

std::string Address(const std::array<std::uint8_t, 16>& bytes, Family family) {
  return IpAddress{bytes, family}.ToString();
}

std::vector<TcpState> States(const std::vector<FlowEvent>& flows) {
  std::vector<TcpState> states;
  for (const FlowEvent& flow : flows)
    if (flow.has_tcp_state && (states.empty() || states.back() != flow.tcp_state)) states.push_back(flow.tcp_state);
  return states;
}

// The first flow to this destination port.
FlowEvent To(const std::vector<FlowEvent>& flows, unsigned port) {
  const auto found = std::find_if(flows.begin(), flows.end(),
                                  [&](const FlowEvent& flow) { return flow.key.destination_port == port; });
  REQUIRE(found != flows.end());
  return *found;
}

}  // namespace

TEST_CASE("a TCP connection is new, changes state and is destroyed, under one key and id") {
  for (const auto& [scenario, source, destination] :
       {std::tuple{"tcp_v4", "192.0.2.7", "198.51.100.1"}, std::tuple{"tcp_v6", "2001:db8::7", "2001:db8:1::1"}}) {
    INFO(scenario);
    const auto flows = Flows(scenario);
    REQUIRE(flows.size() == 8);
    CHECK(flows.front().kind == EventKind::kNew);
    CHECK(flows.back().kind == EventKind::kDestroy);
    for (const FlowEvent& flow : flows) {
      CHECK(Address(flow.key.source, flow.key.family) == source);
      CHECK(Address(flow.key.destination, flow.key.family) == destination);
      CHECK(flow.key.source_port == 40443);
      CHECK(flow.key.destination_port == 443);
      CHECK(flow.key.protocol == IPPROTO_TCP);
      CHECK(flow.key.zone == 0);
      CHECK(flow.id == flows.front().id);
      CHECK(flow.id != 0);
      CHECK(flow.has_status);
    }
    using enum TcpState;
    CHECK(States(flows) == std::vector{kSynSent, kSynRecv, kEstablished, kFinWait, kLastAck, kTimeWait});
  }
}

TEST_CASE("only dumps and DESTROY say when a flow began, and only DESTROY when it ended") {
  const auto flows = Flows("tcp_v4");
  CHECK(flows.front().start_ns == 0);
  const FlowEvent& dumped = flows[flows.size() - 2];
  const FlowEvent& destroyed = flows.back();
  CHECK(dumped.kind == EventKind::kUpdate);
  CHECK(dumped.start_ns != 0);
  CHECK(dumped.stop_ns == 0);
  CHECK(destroyed.start_ns == dumped.start_ns);
  CHECK(destroyed.stop_ns > destroyed.start_ns);
}

TEST_CASE("without nf_conntrack_timestamp there are no times") {
  for (const FlowEvent& flow : Flows("udp_bare")) {
    CHECK(flow.start_ns == 0);
    CHECK(flow.stop_ns == 0);
  }
}

TEST_CASE("UDP has a status and no TCP state") {
  const auto flows = Flows("udp_v4");
  CHECK((To(flows, 53).status & kSeenReply) == 0);
  const bool replied =
      std::any_of(flows.begin(), flows.end(), [](const FlowEvent& flow) { return flow.status & kSeenReply; });
  CHECK(replied);
  for (const FlowEvent& flow : flows) CHECK_FALSE(flow.has_tcp_state);
}

TEST_CASE("an ICMP flow is keyed by id, type and code") {
  const auto flows = Flows("icmp");
  const FlowEvent echo = To(flows, 8 << 8);
  CHECK(echo.key.protocol == IPPROTO_ICMP);
  CHECK(echo.key.source_port == 0x1234);
  const FlowEvent timestamp = To(flows, 13 << 8);
  CHECK(timestamp.key.source_port == 0x00ff);
  const FlowEvent echo6 = To(flows, 128 << 8);
  CHECK(echo6.key.protocol == IPPROTO_ICMPV6);
  CHECK(echo6.key.family == Family::kIpv6);
  CHECK(echo6.key.source_port == 0xabcd);
}

TEST_CASE("SCTP has ports; GRE, ESP and an unassigned protocol have none") {
  const auto flows = Flows("other_protocols");
  CHECK(To(flows, 5060).key.protocol == IPPROTO_SCTP);
  for (const int protocol : {47, 50, 253}) {
    const auto found =
        std::find_if(flows.begin(), flows.end(), [&](const FlowEvent& flow) { return flow.key.protocol == protocol; });
    REQUIRE(found != flows.end());
    CHECK(found->key.source_port == 0);
    CHECK(found->key.destination_port == 0);
  }
}

TEST_CASE("the key is what the client sent, not what NAT made of it") {
  const auto flows = Flows("nat");
  const FlowEvent forwarded = To(flows, 80);
  CHECK(Address(forwarded.key.destination, Family::kIpv4) == "203.0.113.9");
  CHECK((forwarded.status & kDestinationNat) != 0);
  const FlowEvent masked = To(flows, 53);
  CHECK(Address(masked.key.source, Family::kIpv4) == "192.0.2.7");
  CHECK(masked.key.source_port == 40053);
  CHECK((masked.status & kSourceNat) != 0);
}

TEST_CASE("the zone is that of the original direction") {
  for (const FlowEvent& flow : Flows("zones")) {
    INFO(flow.key.destination_port);
    const unsigned expected = flow.key.destination_port == 1001   ? 11  // both directions
                              : flow.key.destination_port == 1002 ? 22  // the original one only
                                                                  : 0;  // 33 in the reply's
    CHECK(flow.key.zone == expected);
  }
}

TEST_CASE("an expected connection is keyed by its own tuple, not its master's") {
  const FlowEvent data = To(Flows("helper"), 8000);
  CHECK(data.key.source_port == 48000);
  CHECK((data.status & kExpected) != 0);
}

TEST_CASE("an expired flow is destroyed under the key it was made with") {
  const auto flows = Flows("expiry");
  REQUIRE(flows.size() == 2);
  CHECK(flows[0].kind == EventKind::kNew);
  CHECK(flows[1].kind == EventKind::kDestroy);
  CHECK(flows[0].key == flows[1].key);
  CHECK(flows[0].id == flows[1].id);
}

}  // namespace conntally::test
