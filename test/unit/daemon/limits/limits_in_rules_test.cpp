#include "daemon/limits/limits_in_rules.h"

#include "test/support/catch.h"
#include "test/unit/daemon/limits/written_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

constexpr std::uint32_t kTcp = 6, kUdp = 17;
constexpr std::uint32_t kNew = 8, kEstablished = 2;

FlowKey Connection(const std::string& source, std::uint16_t port, std::uint8_t protocol = kTcp) {
  FlowKey key;
  key.source = Address(source).bytes;
  key.destination = Address("192.0.2.1").bytes;
  key.source_port = 40000;
  key.destination_port = port;
  key.protocol = protocol;
  return key;
}

// The one limit there is.
LimitInRule OnlyLimit(const WrittenRules& rules, bool forwards = false) {
  const LimitsInRules found = FindLimits(*rules.Figures(), forwards);
  REQUIRE(found.limits.size() == 1);
  return found.limits[0];
}
LimitInRule OnlyLimit(std::vector<Rule> rules, bool forwards = false) {
  return OnlyLimit(WrittenRules().Chain("INPUT", "input", std::move(rules)), forwards);
}
std::size_t Limits(std::vector<Rule> rules) {
  return FindLimits(*WrittenRules().Chain("INPUT", "input", std::move(rules)).Figures(), false).limits.size();
}

const Rule kPlain = Limited(Rule_("connlimit drop", Verdict::kDrop), 10);

}  // namespace

TEST_CASE("a limit without a condition counts every connection of its family") {
  const LimitInRule limit = OnlyLimit({kPlain});
  CHECK(limit.connections == 10);
  CHECK(limit.origin == LimitOrigin::kConnlimit);
  CHECK(limit.rule == "connlimit drop");
  CHECK_FALSE(limit.approximate);
  CHECK(limit.covered.Covers(Connection("10.0.0.1", 80)));
  FlowKey ipv6 = Connection("10.0.0.1", 80);
  ipv6.family = Family::kIpv6;
  CHECK_FALSE(limit.covered.Covers(ipv6));
  CHECK(limit.Concerns(RangeOf(Prefix::Parse("10.0.0.1").value())));
  CHECK_FALSE(limit.Concerns(RangeOf(Prefix::Parse("::1").value())));
}

TEST_CASE("protocol, port and source narrow a limit exactly") {
  const LimitInRule limit =
      OnlyLimit({Limited(Rule_("", Verdict::kReject, {From("10.0.0.0/8"), Protocol(kTcp), Port(80)}), 10)});
  CHECK_FALSE(limit.approximate);
  CHECK(limit.covered.Covers(Connection("10.0.0.1", 80)));
  CHECK_FALSE(limit.covered.Covers(Connection("10.0.0.1", 81)));
  CHECK_FALSE(limit.covered.Covers(Connection("10.0.0.1", 80, kUdp)));
  CHECK_FALSE(limit.covered.Covers(Connection("11.0.0.1", 80)));
  CHECK_FALSE(limit.Concerns(RangeOf(Prefix::Parse("11.0.0.1").value())));
  CHECK(limit.Concerns(RangeOf(Prefix::Parse("10.0.0.0/7").value())));
}

TEST_CASE("a set of sources narrows a limit as long as it is known whole") {
  WrittenRules rules;
  AddressSet set = SetOf("guests", {"10.0.0.0/24", "10.0.2.7"});
  rules.Chain("INPUT", "input", {Limited(Rule_("", Verdict::kDrop, {FromSet("guests")}), 10)}).Set(set);
  const LimitInRule limit = OnlyLimit(rules);
  CHECK_FALSE(limit.approximate);
  CHECK(limit.covered.Covers(Connection("10.0.2.7", 80)));
  CHECK_FALSE(limit.covered.Covers(Connection("10.0.2.8", 80)));

  set.complete = false;
  WrittenRules cut;
  cut.Chain("INPUT", "input", {Limited(Rule_("", Verdict::kDrop, {FromSet("guests")}), 10)}).Set(set);
  CHECK(OnlyLimit(cut).approximate);
}

TEST_CASE("what every connection's first packet satisfies narrows nothing") {
  CHECK_FALSE(OnlyLimit({Limited(Rule_("", Verdict::kDrop, {State(kNew)}), 10)}).approximate);
  const RuleCondition syn = Numbers(Kind::kTcpFlags, {{0x02, 0x17}});
  CHECK_FALSE(OnlyLimit({Limited(Rule_("", Verdict::kDrop, {Protocol(kTcp), syn}), 10)}).approximate);
  const RuleCondition ack = Numbers(Kind::kTcpFlags, {{0x10, 0x10}});
  CHECK(OnlyLimit({Limited(Rule_("", Verdict::kDrop, {Protocol(kTcp), ack}), 10)}).approximate);
}

TEST_CASE("what a connection's tuple does not tell makes a limit approximate") {
  CHECK(OnlyLimit({Limited(Rule_("", Verdict::kDrop, {On("eth0")}), 10)}).approximate);
  Rule marked = kPlain;
  marked.fully_understood = false;
  CHECK(OnlyLimit({marked}).approximate);
  CHECK(OnlyLimit({kPlain}, true).approximate);  // on a router
  CHECK_FALSE(OnlyLimit({kPlain}, true).in_doubt);
}

TEST_CASE("connections that a rule before lets in are not counted") {
  const LimitInRule limit =
      OnlyLimit({Rule_("", Verdict::kAccept, {State(kEstablished)}), Rule_("", Verdict::kAccept, {On("lo")}),
                 Rule_("", Verdict::kAccept, {From("10.0.0.9")}),
                 Rule_("", Verdict::kAccept, {Protocol(kTcp), Port(22)}), kPlain});
  CHECK_FALSE(limit.approximate);
  CHECK(limit.covered.Covers(Connection("10.0.0.1", 80)));
  CHECK_FALSE(limit.covered.Covers(Connection("10.0.0.1", 22)));
  CHECK_FALSE(limit.covered.Covers(Connection("10.0.0.9", 80)));
  CHECK_FALSE(limit.covered.Covers(Connection("127.0.0.1", 80)));
  CHECK_FALSE(limit.Concerns(RangeOf(Prefix::Parse("10.0.0.9").value())));
}

TEST_CASE("a rule before it matters only where it can take some of the limit's connections") {
  const Rule narrowed = Limited(Rule_("", Verdict::kDrop, {Protocol(kTcp), Port(80)}), 10);
  const Rule of_udp = Rule_("", Verdict::kAccept, {Protocol(kUdp), On("eth0")});
  CHECK_FALSE(OnlyLimit({of_udp, narrowed}).approximate);
  CHECK(OnlyLimit({Rule_("", Verdict::kAccept, {On("eth0")}), narrowed}).approximate);
  CHECK(Limits({Rule_("", Verdict::kAccept), narrowed}) == 0);  // nothing comes past it
  CHECK(Limits({Rule_("", Verdict::kDrop, {On("eth0")}), narrowed}) == 1);
}

TEST_CASE("the jumps that lead to a limit narrow it") {
  WrittenRules rules;
  rules.Chain("INPUT", "input", {Rule_("", Verdict::kJump, {Protocol(kTcp), Port(80)}, "web")})
      .Chain("web", "", {Limited(Rule_("", Verdict::kAccept), 10, 32, false)});
  const LimitInRule limit = OnlyLimit(rules);
  CHECK_FALSE(limit.approximate);
  CHECK(limit.covered.Covers(Connection("10.0.0.1", 80)));
  CHECK_FALSE(limit.covered.Covers(Connection("10.0.0.1", 81)));

  WrittenRules unreached;
  unreached.Chain("INPUT", "input").Chain("web", "", {kPlain});
  CHECK(FindLimits(*unreached.Figures(), false).limits.empty());
}

TEST_CASE("a verdict map leads to a limit, and past it, as its keys say") {
  Rule by_port = Rule_("", Verdict::kMap, {Protocol(kTcp)});
  by_port.map_key = Kind::kDestinationPort;
  by_port.map = {Mapped(Verdict::kJump, Port(80), "web"), Mapped(Verdict::kAccept, Port(22))};
  by_port.map_understood = true;
  WrittenRules rules;
  rules.Chain("INPUT", "input", {by_port}).Chain("web", "", {kPlain});
  const LimitInRule inside = OnlyLimit(rules);
  CHECK_FALSE(inside.approximate);
  CHECK(inside.covered.Covers(Connection("10.0.0.1", 80)));
  CHECK_FALSE(inside.covered.Covers(Connection("10.0.0.1", 443)));

  WrittenRules after;
  after.Chain("INPUT", "input", {by_port, kPlain}).Chain("web", "");
  CHECK(OnlyLimit(after).covered.Covers(Connection("10.0.0.1", 80)));
  CHECK_FALSE(OnlyLimit(after).covered.Covers(Connection("10.0.0.1", 22)));
}

TEST_CASE("destinations that are changed on the way narrow nothing, and the limit is approximate") {
  const Rule narrowed = Limited(Rule_("", Verdict::kDrop, {Protocol(kTcp), Port(80)}), 10);
  WrittenRules rules;
  rules.Chain("PREROUTING", "prerouting", {Rule_("", Verdict::kNat)}).Chain("INPUT", "input", {narrowed});
  CHECK(OnlyLimit(rules).approximate);
  CHECK(OnlyLimit(rules).covered.Covers(Connection("10.0.0.1", 8080)));
  WrittenRules masquerade;
  masquerade.Chain("INPUT", "input", {narrowed}).Chain("POSTROUTING", "postrouting", {Rule_("", Verdict::kNat)});
  CHECK_FALSE(OnlyLimit(masquerade).approximate);
}

TEST_CASE("a translation of another port leaves a limit as it is, and one of its port brings along whom it takes") {
  const bool by_map = GENERATE(false, true);
  const auto limit_behind = [by_map](std::uint16_t from, std::uint16_t to) {
    Rule translates = Rule_("", Verdict::kNat, {Protocol(kTcp)});
    translates.nat = NatTarget{NatTarget::Kind::kDestination, {}, {}, !by_map, {}};
    if (by_map) {
      translates.nat->choices.push_back({{Port(from)}, {}, NumberRange{to, to}});
    } else {
      translates.conditions.push_back(Port(from));
      translates.nat->ports = NumberRange{to, to};
    }
    WrittenRules rules;
    rules.Chain("PREROUTING", "prerouting", {translates})
        .Chain("INPUT", "input", {Limited(Rule_("", Verdict::kDrop, {Protocol(kTcp), Port(22)}), 5)});
    return OnlyLimit(rules);
  };
  const LimitInRule other = limit_behind(8080, 80);
  CHECK_FALSE(other.approximate);
  CHECK(other.covered.Covers(Connection("10.0.0.1", 22)));
  CHECK_FALSE(other.covered.Covers(Connection("10.0.0.1", 80)));
  const LimitInRule to_it = limit_behind(2222, 22);
  CHECK(to_it.approximate);
  CHECK(to_it.in_doubt);
  CHECK(to_it.covered.Covers(Connection("10.0.0.1", 2222)));
  CHECK_FALSE(to_it.covered.Covers(Connection("10.0.0.1", 80)));
  const LimitInRule from_it = limit_behind(22, 2200);
  CHECK(from_it.approximate);
  CHECK_FALSE(from_it.covered.Covers(Connection("10.0.0.1", 2200)));
}

TEST_CASE("what only watches a limit is none") {
  CHECK(Limits({Limited(Rule_("", Verdict::kLog), 10)}) == 0);
  CHECK(Limits({Limited(Rule_("", Verdict::kAccept), 10)}) == 0);           // above 10 accept
  CHECK(Limits({Limited(Rule_("", Verdict::kDrop), 10, 32, false)}) == 0);  // upto 10 drop
  CHECK(Limits({Limited(Rule_("", Verdict::kAccept), 10, 32, false)}) == 1);
  Rule by_destination = kPlain;
  by_destination.limits[0].per = RuleLimit::Per::kDestination;
  CHECK(Limits({by_destination}) == 0);
}

TEST_CASE("more limits than there is room for are counted") {
  const LimitsInRules found = FindLimits(
      *WrittenRules().Chain("INPUT", "input", std::vector<Rule>(LimitsInRules::kLimitsMax + 3, kPlain)).Figures(),
      false);
  CHECK(found.limits.size() == LimitsInRules::kLimitsMax);
  CHECK(found.turned_away == 3);
}
