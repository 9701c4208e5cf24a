// What rules do with a packet besides letting it pass or stopping it.
#include "test/support/catch.h"
#include "test/unit/collectors/rules/walk/walked.h"

using namespace conntally;
using namespace conntally::test;

TEST_CASE("a queue drops where nobody listens, and is open where somebody does") {
  BuiltRule queue = Does(Verdict::kQueue, {ToPort(80)});
  queue.rule.queue = RuleQueue{{0, 1}, false};
  WalkRouting routing;
  std::optional<QueueReader> other = QueueReader::kNone, second = other;
  routing.reader_of = [&](std::uint32_t number) { return number == 1 ? second : other; };
  const auto walked = [&](Verdict policy) { return Of(Input(policy, {queue}), Syn(80), routing); };
  CHECK(RuleOf(walked(Verdict::kAccept)) == 0);
  second = QueueReader::kDecides;
  CHECK(walked(Verdict::kAccept).passes == Match::kMaybe);
  second = std::nullopt;
  CHECK(walked(Verdict::kAccept).passes == Match::kMaybe);
  queue.rule.queue->bypasses = true;
  other = second = QueueReader::kNone;
  CHECK(walked(Verdict::kDrop).passes == Match::kYes);
  other = second = QueueReader::kStuck;  // there is somebody, so that nothing goes past
  CHECK(RuleOf(walked(Verdict::kAccept)) == 0);
}

TEST_CASE("what synproxy takes over no policy drops") {
  BuiltRule synproxy = Does(Verdict::kContinue, {ToPort(80)});
  synproxy.rule.takes_over = true;
  CHECK(Of(Input(Verdict::kDrop, {synproxy}), Syn(80)).passes == Match::kYes);
  CHECK(Of(Input(Verdict::kDrop, {synproxy}), Syn(81)).passes == Match::kNo);
}

TEST_CASE("a map of translation gives what its key says, and takes nothing else") {
  BuiltRule by_map = Does(Verdict::kNat);
  by_map.rule.nat = NatTarget{NatTarget::Kind::kDestination, {}, {}, false, {}};
  const IpAddress inside = *IpAddress::Parse("10.0.0.2");
  by_map.rule.nat->choices = {{{ToPort(81)}, AddressRange{inside, inside}, NumberRange{8080, 8080}}};
  Firewall firewall;
  firewall.Base("nat", "pre", "prerouting", -100, Verdict::kAccept, {by_map}, RuleFamily::kIp, "nat");
  firewall.Base("late", "in", "input", 0, Verdict::kDrop, {});
  WalkRouting routing;
  routing.is_local = [&](const IpAddress& address) { return address != inside; };
  const Walk mapped = Of(firewall, Syn(81), routing);
  CHECK(mapped.passes == Match::kYes);
  CHECK(mapped.forwarded);
  CHECK(mapped.packet.destination == inside);
  CHECK(mapped.packet.destination_port == NumberRange{8080, 8080});
  const Walk other = Of(firewall, Syn(80), routing);
  CHECK(other.passes == Match::kNo);
  CHECK_FALSE(other.destination_nat_open);
}

TEST_CASE("from a goto no packet comes back to be accepted late, from a jump it does") {
  for (const Verdict leads : {Verdict::kGoto, Verdict::kJump}) {
    Firewall firewall;
    firewall.Base("f", "in", "input", 0, Verdict::kAccept, {Leads(leads, "pub"), Does(Verdict::kAccept)});
    firewall.Own("f", "pub", {Does(Verdict::kReject)});
    const Walk walk = Of(firewall, Syn(80));
    CHECK(walk.passes == Match::kNo);
    CHECK(walk.late_accept.has_value() == (leads == Verdict::kJump));
  }
}

TEST_CASE("rules behind source NAT see the translated source") {
  BuiltRule masquerade = Does(Verdict::kNat);
  masquerade.rule.nat = NatTarget{NatTarget::Kind::kMasquerade, {}, {}, true};
  Firewall firewall;
  firewall.Base("nat", "post", "postrouting", 100, Verdict::kAccept, {masquerade}, RuleFamily::kIp, "nat");
  firewall.Base(
      "late", "post", "postrouting", 300, Verdict::kAccept,
      {Does(Verdict::kDrop, {From("192.0.2.7", "192.0.2.7")}), Does(Verdict::kReject, {From("10.0.0.1", "10.0.0.1")})});
  Packet packet = Syn(80);
  packet.destination = IpAddress::Parse("10.0.0.2");
  packet.destination_is_local = false;
  packet.out = PacketInterface{3, "l0"};
  WalkRouting routing;
  routing.address_of = [](const PacketInterface&, Family) { return IpAddress::Parse("10.0.0.1"); };
  const Walk walk = Of(firewall, packet, routing);
  CHECK(RuleOf(walk) == 2);
  CHECK(walk.packet.source == IpAddress::Parse("10.0.0.1"));
}

TEST_CASE("of what conntrack is told not to see, the rule that stops it sees UNTRACKED") {
  BuiltRule notrack = Does(Verdict::kContinue);
  notrack.rule.untracks = true;
  Firewall firewall = Input(Verdict::kDrop, {Does(Verdict::kAccept, {State(kStateEstablished)})});
  firewall.Base("raw", "pre", "prerouting", -300, Verdict::kAccept, {notrack});
  Packet packet = Syn(80);
  packet.state = kStateEstablished;
  const Walk walk = Of(firewall, packet);
  CHECK(walk.passes == Match::kNo);
  CHECK(walk.packet.state == kStateUntracked);
  CHECK(walk.untracked_by == RuleRef{RuleBackend::kNftables, 1});
}

TEST_CASE("a packet is in the zone that a rule before conntrack sets, known or not") {
  const auto zone_of = [](int priority, std::optional<std::uint16_t> zone) {
    BuiltRule sets = Does(Verdict::kContinue, {ToPort(80)});
    sets.rule.zone = ZoneChange{zone};
    Firewall firewall;
    firewall.Base("raw", "pre", "prerouting", priority, Verdict::kAccept, {sets});
    return Of(firewall, Syn(80)).packet.zone;
  };
  CHECK(zone_of(-300, 7) == 7);
  CHECK(zone_of(-300, std::nullopt) == std::nullopt);
  CHECK(zone_of(-150, 7) == 0);  // conntrack has seen it
}

TEST_CASE("what a rule writes into a packet is not known behind it") {
  BuiltRule sets = Does(Verdict::kContinue, {ToPort(8088)});
  sets.rule.rewrites = {Kind::kDestinationPort};
  Firewall firewall;
  firewall.Base("raw", "pre", "prerouting", -300, Verdict::kAccept, {sets});
  firewall.Base("filter", "in", "input", 0, Verdict::kDrop, {Does(Verdict::kAccept, {ToPort(80)})});
  const Walk rewritten = Of(firewall, Syn(8088));
  CHECK(rewritten.passes == Match::kMaybe);
  CHECK(rewritten.destination_nat_open);
  CHECK(Of(firewall, Syn(81)).passes == Match::kNo);
  CHECK(Of(firewall, Syn(80)).passes == Match::kYes);
}
