#include "collectors/rules/walk/packet_walk.h"

#include "test/support/catch.h"
#include "test/unit/collectors/rules/walk/walked.h"

using namespace conntally;
using namespace conntally::test;

TEST_CASE("the first rule that takes the packet decides") {
  const auto firewall =
      Input(Verdict::kDrop, {Does(Verdict::kDrop, {Tcp(), ToPort(23)}), Does(Verdict::kAccept, {Tcp(), ToPort(22)}),
                             Does(Verdict::kReject, {Tcp(), ToPort(22)}), Does(Verdict::kReject, {Tcp(), ToPort(25)})});
  CHECK(Of(firewall, Syn(22)).passes == Match::kYes);
  CHECK(RuleOf(Of(firewall, Syn(23))) == 0);
  CHECK(RuleOf(Of(firewall, Syn(25))) == 3);
  CHECK(StopOf(Of(firewall, Syn(25))).verdict == Verdict::kReject);
  CHECK(RuleOf(Of(firewall, Syn(80))) == -1);
}

TEST_CASE("an accept behind the rule that stops the packet comes too late") {
  const auto firewall = Input(
      Verdict::kAccept, {Does(Verdict::kAccept, {State(kStateEstablished)}), Does(Verdict::kReject),
                         Does(Verdict::kAccept, {Tcp(), ToPort(25)}), Does(Verdict::kAccept, {Tcp(), ToPort(80)})});
  const Walk walk = Of(firewall, Syn(80));
  CHECK(RuleOf(walk) == 1);
  REQUIRE(walk.late_accept);
  CHECK(walk.late_accept->rule->rule == 3);
  CHECK_FALSE(Of(firewall, Syn(443)).late_accept);
}

TEST_CASE("jumps come back, gotos do not, and returns end a chain") {
  auto firewall = Input(Verdict::kDrop,
                        {Leads(Verdict::kJump, "a"), Leads(Verdict::kGoto, "b", {ToPort(81)}), Does(Verdict::kAccept)});
  firewall.Own(
      "filter", "a",
      {Does(Verdict::kReturn, {ToPort(80)}), Does(Verdict::kDrop, {ToPort(80)}), Does(Verdict::kReject, {ToPort(82)})});
  firewall.Own("filter", "b", {Does(Verdict::kAccept, {ToPort(1)})});
  CHECK(Of(firewall, Syn(80)).passes == Match::kYes);
  CHECK(RuleOf(Of(firewall, Syn(81))) == -1);
  CHECK(RuleOf(Of(firewall, Syn(82))) == 5);
  CHECK(StopOf(Of(firewall, Syn(82))).jumps.size() == 1);
}

TEST_CASE("every base chain of a hook must let the packet pass, of whatever backend, by priority") {
  Firewall firewall;
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {Does(Verdict::kDrop, {ToPort(80)})}, RuleFamily::kIp,
                "filter", kLegacy);
  firewall.Base("t", "late", "input", 10, Verdict::kAccept, {Does(Verdict::kReject, {ToPort(80)})}, RuleFamily::kInet);
  firewall.Base("t", "early", "input", -10, Verdict::kAccept,
                {Does(Verdict::kAccept, {ToPort(80)}), Does(Verdict::kReject, {ToPort(81)})}, RuleFamily::kInet);
  const Walk walk = Of(firewall, Syn(80));
  CHECK(StopOf(walk).base.backend == kLegacy);
  CHECK(walk.path.size() == 2);
  CHECK(Of(firewall, Syn(81)).path.size() == 1);
  CHECK(Of(firewall, Syn(82)).path.size() == 3);
}

TEST_CASE("what is not known leaves the answer open, and says which rule") {
  BuiltRule odd = Does(Verdict::kDrop);
  odd.rule.fully_understood = false;
  odd.rule.not_understood = "recent";
  const auto firewall = Input(Verdict::kAccept, {odd, Does(Verdict::kAccept, {ToPort(22)})});
  const Walk walk = Of(firewall, Syn(22));
  CHECK(walk.passes == Match::kMaybe);
  CHECK(walk.stop() == nullptr);
  REQUIRE(walk.unevaluated.size() == 1);
  CHECK(walk.unevaluated[0].why.find("recent") != std::string::npos);

  BuiltRule accepts = odd;
  accepts.rule.verdict = Verdict::kAccept;
  CHECK(Of(Input(Verdict::kAccept, {accepts, Does(Verdict::kAccept)}), Syn(22)).passes == Match::kYes);
  const Walk either = Of(Input(Verdict::kDrop, {odd, Does(Verdict::kReject)}), Syn(22));
  CHECK(either.passes == Match::kNo);
  CHECK(either.stops.size() == 2);

  Packet anybody = Syn(22);
  anybody.source.reset();
  const auto some = Input(Verdict::kDrop, {Does(Verdict::kAccept, {From("10.0.0.0", "10.255.255.255")})});
  CHECK(Of(some, anybody).passes == Match::kMaybe);
  CHECK(RuleOf(Of(some, Syn(22))) == -1);
}

TEST_CASE("a map that was read in part leaves open what none of the listed elements takes") {
  BuiltRule map = Does(Verdict::kMap);
  MappedVerdict accepts;
  accepts.verdict = Verdict::kAccept;
  accepts.key = {ToPort(22)};
  map.rule.map = {accepts};
  map.rule.fully_understood = map.rule.map_understood = false;
  CHECK(Of(Input(Verdict::kDrop, {map}), Syn(22)).passes == Match::kYes);
  CHECK(Of(Input(Verdict::kDrop, {map}), Syn(80)).passes == Match::kMaybe);
  map.rule.map_understood = true;
  CHECK(RuleOf(Of(Input(Verdict::kDrop, {map}), Syn(80))) == -1);
}

TEST_CASE("of a packet of which nothing but its source is known, one chain tells what may stop it") {
  const auto firewall = Input(Verdict::kAccept, {Does(Verdict::kDrop, {From("10.0.0.0", "10.0.0.255"), ToPort(23)}),
                                                 Does(Verdict::kDrop, {From("192.0.2.0", "192.0.2.255"), ToPort(22)}),
                                                 Does(Verdict::kDrop, {From("192.0.2.0", "192.0.2.255")})});
  const FirewallReading snapshot = firewall.Now();
  Packet packet;
  packet.source = IpAddress::Parse("192.0.2.9");
  const Walk walk = PacketWalker(snapshot).In({RuleBackend::kNftables, 0}, packet, Limits::kNotKnown);
  REQUIRE(walk.stops.size() == 2);
  CHECK(walk.stops[0].by_itself.match == Match::kMaybe);
  CHECK(walk.stops[0].by_itself.why == Why::kDestinationPort);
  CHECK(walk.stops[1].takes_all_that_comes());
  CHECK(walk.passes == Match::kNo);
}

TEST_CASE("a jump that may be taken leaves both ways open") {
  BuiltRule perhaps = Leads(Verdict::kJump, "a");
  perhaps.rule.fully_understood = false;
  auto firewall =
      Input(Verdict::kAccept, {perhaps, Does(Verdict::kAccept, {ToPort(22)}), Does(Verdict::kDrop, {ToPort(23)})});
  firewall.Own("filter", "a", {Does(Verdict::kReject, {ToPort(22)}), Does(Verdict::kReturn)});
  CHECK(Of(firewall, Syn(22)).passes == Match::kMaybe);
  CHECK(Of(firewall, Syn(80)).passes == Match::kYes);
  CHECK(RuleOf(Of(firewall, Syn(23))) == 2);
}

TEST_CASE("limits are taken as not reached") {
  BuiltRule above = Does(Verdict::kDrop), within = Does(Verdict::kAccept);
  above.rule.limits.push_back({.kind = RuleLimit::Kind::kConnlimit, .connections = 10, .set = {}});
  within.rule.limits.push_back({.kind = RuleLimit::Kind::kLimit, .matches_above = false, .set = {}});
  const Walk walk = Of(Input(Verdict::kDrop, {above, within}), Syn(22));
  CHECK(walk.passes == Match::kYes);
  CHECK(walk.limited.size() == 2);
}

TEST_CASE("sets and verdict maps are looked into") {
  BuiltRule map = Does(Verdict::kMap);
  map.rule.fully_understood = false;
  map.rule.map_understood = true;
  map.rule.map = {{.verdict = Verdict::kAccept, .key = {State(kStateEstablished)}},
                  {.verdict = Verdict::kJump, .jump_target = "services", .key = {State(kStateNew)}}};
  Firewall firewall = Input(Verdict::kAccept, {Does(Verdict::kDrop, {FromSet("banned")}), map, Does(Verdict::kReject)});
  firewall.Own("filter", "services", {Does(Verdict::kAccept, {ToPort(22)})});
  firewall.Set("filter", "banned",
               {{{*IpAddress::Parse("198.51.100.0"), *IpAddress::Parse("198.51.100.255")}, {}, false}});
  CHECK(Of(firewall, Syn(22)).passes == Match::kYes);
  CHECK(RuleOf(Of(firewall, Syn(23))) == 2);
  Packet banned = Syn(22);
  banned.source = IpAddress::Parse("198.51.100.9");
  CHECK(RuleOf(Of(firewall, banned)) == 0);
  Packet later = Syn(23);
  later.state = kStateEstablished;
  CHECK(Of(firewall, later).passes == Match::kYes);
}

TEST_CASE("a destination that is translated is followed to where it goes") {
  BuiltRule translate = Does(Verdict::kNat, {Tcp(), ToPort(8080)}), masquerade = Does(Verdict::kNat);
  const IpAddress inside = *IpAddress::Parse("10.0.0.2");
  translate.rule.nat = NatTarget{NatTarget::Kind::kDestination, AddressRange{inside, inside}, NumberRange{80, 80}};
  masquerade.rule.nat = NatTarget{NatTarget::Kind::kMasquerade, {}, {}};
  Firewall firewall;
  firewall.Base("nat", "PREROUTING", "prerouting", -100, Verdict::kAccept, {translate}, RuleFamily::kIp, "nat");
  firewall.Base("nat", "POSTROUTING", "postrouting", 100, Verdict::kAccept, {masquerade}, RuleFamily::kIp, "nat");
  firewall.Base("filter", "FORWARD", "forward", 0, Verdict::kDrop, {Does(Verdict::kAccept, {ToPort(443)})});
  WalkRouting routing;
  routing.is_local = [&](const IpAddress& address) -> std::optional<bool> { return address != inside; };
  routing.way_out = [](const Packet&) -> std::optional<PacketInterface> { return PacketInterface{3, "lan0"}; };
  const Walk walk = Of(firewall, Syn(8080), routing);
  CHECK(walk.forwarded);
  CHECK(walk.destination_nat);
  CHECK_FALSE(StopOf(walk).rule);
  CHECK(walk.packet.destination == inside);
  CHECK(walk.packet.out->name == "lan0");
  CHECK(Of(firewall, Syn(443), routing).passes == Match::kYes);

  Packet later = Syn(8080);
  later.state = kStateEstablished;
  CHECK_FALSE(Of(firewall, later, routing).destination_nat);
}

TEST_CASE("of several destinations chosen at random the last stands for all") {
  const auto to = [](const char* address) {
    BuiltRule rule = Does(Verdict::kNat, {Tcp()});
    const auto parsed = *IpAddress::Parse(address);
    rule.rule.nat = NatTarget{NatTarget::Kind::kDestination, AddressRange{parsed, parsed}, NumberRange{80, 80}};
    return rule;
  };
  BuiltRule perhaps = Leads(Verdict::kJump, "first");
  perhaps.rule.fully_understood = false;
  perhaps.rule.not_understood = "statistic";
  Firewall firewall;
  firewall.Base("nat", "PREROUTING", "prerouting", -100, Verdict::kAccept, {perhaps, Leads(Verdict::kJump, "second")},
                RuleFamily::kIp, "nat");
  firewall.Own("nat", "first", {to("10.0.0.2")});
  firewall.Own("nat", "second", {to("10.0.0.3")});
  WalkRouting routing;
  routing.is_local = [](const IpAddress&) -> std::optional<bool> { return false; };
  const Walk walk = Of(firewall, Syn(8443), routing);
  CHECK(walk.destination_nat_open);
  CHECK(walk.destination_nat);
  CHECK(walk.packet.destination == IpAddress::Parse("10.0.0.3"));
  CHECK(walk.forwarded);
}

TEST_CASE("chains of devices see what comes in, or leaves, by theirs, before conntrack does") {
  Firewall firewall;
  firewall.Base("guard", "in", "ingress", 0, Verdict::kAccept,
                {Does(Verdict::kDrop, {State(kStateNew)}), Does(Verdict::kDrop, {ToPort(80)})}, RuleFamily::kNetdev);
  firewall.Devices({"eth0"});
  CHECK(RuleOf(Of(firewall, Syn(80))) == 1);
  CHECK(Of(firewall, Syn(81)).passes == Match::kYes);
  Packet elsewhere = Syn(80);
  elsewhere.in = PacketInterface{3, "eth1"};
  CHECK(Of(firewall, elsewhere).passes == Match::kYes);
}

TEST_CASE("marks that rules set are seen by later ones") {
  BuiltRule marks = Does(Verdict::kContinue, {ToPort(80)});
  marks.rule.mark = MarkChange{true, 0, 0x10};
  Firewall firewall;
  firewall.Base("mangle", "PREROUTING", "prerouting", -150, Verdict::kAccept, {marks});
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept,
                {Does(Verdict::kDrop, {Numbers(Kind::kMark, {{0x10, 0x10}})})});
  CHECK(Of(firewall, Syn(80)).passes == Match::kNo);
  CHECK(Of(firewall, Syn(81)).passes == Match::kYes);
}

TEST_CASE("before conntrack no packet has a state, and what is not tracked keeps none") {
  BuiltRule untracks = Does(Verdict::kContinue, {ToPort(53)});
  untracks.rule.untracks = true;
  Firewall firewall;
  firewall.Base("raw", "PREROUTING", "prerouting", -300, Verdict::kAccept,
                {untracks, Does(Verdict::kDrop, {State(kStateNew)})});
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kDrop, {Does(Verdict::kAccept, {State(kStateNew)})});
  CHECK(Of(firewall, Syn(80)).passes == Match::kYes);
  CHECK(RuleOf(Of(firewall, Syn(53))) == -1);
}

TEST_CASE("what a host sends to itself goes out and comes in") {
  Firewall firewall;
  firewall.Base("filter", "OUTPUT", "output", 0, Verdict::kAccept, {Does(Verdict::kDrop, {ToPort(81)})});
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {Does(Verdict::kReject, {In("lo"), ToPort(82)})});
  const FirewallReading snapshot = firewall.Now();
  const PacketWalker walker(snapshot);
  WalkRouting routing;
  routing.is_local = [](const IpAddress&) -> std::optional<bool> { return true; };
  routing.way_out = [](const Packet&) -> std::optional<PacketInterface> { return PacketInterface{1, "lo"}; };
  CHECK(walker.Leaves(Syn(80), routing).passes == Match::kYes);
  CHECK(RuleOf(walker.Leaves(Syn(81), routing)) == 0);
  CHECK(RuleOf(walker.Leaves(Syn(82), routing)) == 1);
}

TEST_CASE("rules that lead in circles end the walk") {
  auto firewall = Input(Verdict::kAccept, {Leads(Verdict::kJump, "a"), Leads(Verdict::kJump, "a")});
  firewall.Own("filter", "a", {Leads(Verdict::kJump, "a"), Leads(Verdict::kJump, "a")});
  CHECK(Of(firewall, Syn(80)).passes != Match::kNo);
}
