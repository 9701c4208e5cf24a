#include "daemon/diagnose/fixes/accept_rule.h"

#include <tuple>

#include "daemon/diagnose/fixes/firewall_commands.h"
#include "test/support/catch.h"
#include "test/unit/collectors/rules/built_rules.h"

using namespace conntally;
using namespace conntally::diagnose;
using namespace conntally::test;

namespace {

constexpr auto kNft = RuleBackend::kNftables;

std::vector<Fix> FixesFor(const FirewallReading& snapshot, const Decision& stop, const Packet& packet) {
  const PacketWalker walker(snapshot);
  Finding finding;
  FirewallCommands(walker, {}).LetThrough(stop, packet, finding);
  CHECK((finding.fix.empty() != finding.decide.empty()));
  return finding.fix;
}

}  // namespace

TEST_CASE("each condition of the rule stands in the accept, in the tool's own words") {
  Firewall firewall;
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept,
                {Does(Verdict::kDrop,
                      {Tcp(), Numbers(Kind::kDestinationPort, {{80, 90}}), Numbers(Kind::kTcpFlags, {{2, 23}}),
                       State(kStateNew), Numbers(Kind::kMark, {{0, 0xf0}}),
                       Numbers(Kind::kConntrackStatus, {{kStatusDestinationNat, kStatusDestinationNat}}, true)})});
  const FirewallReading snapshot = firewall.Now();
  const auto conditions =
      AcceptOfPacket("input", &snapshot.backends.at(kNft).ruleset->rules[0], Syn(80), ConditionMatcher(snapshot));
  REQUIRE(conditions);
  CHECK(*IptablesText(*conditions, Family::kIpv4) ==
        "-s 192.0.2.7 -i eth0 -p tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -m "
        "conntrack ! --ctstate DNAT -m mark --mark 0x0/0xf0");
  CHECK(*AttributeText(*conditions, Family::kIpv4) ==
        "ip saddr 192.0.2.7 iifname \"eth0\" tcp dport 80 tcp flags & 0x17 == 0x2 ct state new ct status & dnat == 0 "
        "meta mark & 0x000000f0 == 0x00000000");
}

TEST_CASE("a rule with a limit, or that is not understood, has no accept") {
  for (const bool limited : {false, true}) {
    BuiltRule rule = Does(Verdict::kDrop, {Tcp(), ToPort(80)});
    if (limited)
      rule.rule.limits.emplace_back();
    else
      rule.rule.fully_understood = false;
    Firewall firewall;
    firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {rule});
    const FirewallReading snapshot = firewall.Now();
    CHECK_FALSE(
        AcceptOfPacket("input", &snapshot.backends.at(kNft).ruleset->rules[0], Syn(80), ConditionMatcher(snapshot)));
  }
}

TEST_CASE("without a source, or a port, the policy is opened for nobody") {
  Firewall firewall;
  firewall.Base("filter", "input", "input", 0, Verdict::kDrop, {});
  const FirewallReading snapshot = firewall.Now();
  const Decision policy{Verdict::kDrop, Match::kYes, {}, {kNft, 0}, std::nullopt, {}};
  CHECK(FixesFor(snapshot, policy, Syn(80)).size() == 1);
  Packet nobodys = Syn(80), portless = Syn(80), of_all = Syn(80);
  nobodys.source.reset();
  portless.destination_port.reset();
  of_all.protocol.reset();
  for (const Packet& packet : {nobodys, portless, of_all}) CHECK(FixesFor(snapshot, policy, packet).empty());
}

TEST_CASE("a packet that leaves the chain before its end is let through where it leaves") {
  Firewall firewall;
  firewall.Base("filter", "input", "input", 0, Verdict::kDrop, {Leads(Verdict::kGoto, "rest", {Tcp()})});
  firewall.Own("filter", "rest", {Does(Verdict::kAccept, {ToPort(22)})});
  firewall.Base("late", "input", "input", 1, Verdict::kDrop,
                {Does(Verdict::kReturn, {Tcp(), From("192.0.2.0", "192.0.2.255")})});
  const FirewallReading snapshot = firewall.Now();
  const Decision by_goto{Verdict::kDrop, Match::kYes, {}, {kNft, 0}, std::nullopt, {}},
      by_return{Verdict::kDrop, Match::kYes, {}, {kNft, 2}, std::nullopt, {}};
  REQUIRE(FixesFor(snapshot, by_goto, Syn(80)).size() == 1);
  CHECK(
      FixesFor(snapshot, by_goto, Syn(80))[0].command.starts_with("nft 'add rule ip filter rest ip saddr 192.0.2.7 "));
  REQUIRE(FixesFor(snapshot, by_return, Syn(80)).size() == 1);
  CHECK(FixesFor(snapshot, by_return, Syn(80))[0].command.starts_with(
      "nft 'insert rule ip late input handle 12 ip saddr 192.0.2.7 "));
}

TEST_CASE("a rule about one source alone may go, and no other") {
  Firewall firewall;
  firewall.Base("filter", "input", "input", 0, Verdict::kAccept,
                {Does(Verdict::kDrop, {From("192.0.2.7", "192.0.2.7")}, "ip saddr 192.0.2.7 drop"),
                 Does(Verdict::kDrop, {From("192.0.2.0", "192.0.2.255")})});
  const FirewallReading snapshot = firewall.Now();
  const auto at = [](std::size_t rule) {
    return Decision{Verdict::kDrop, Match::kYes, {}, {kNft, 0}, RuleRef{kNft, rule}, {}};
  };
  Packet any = Syn(80);
  any.protocol.reset(), any.destination_port.reset();
  REQUIRE(FixesFor(snapshot, at(0), any).size() == 2);
  CHECK(FixesFor(snapshot, at(0), any)[0].command == "nft delete rule ip filter input handle 10");
  CHECK(FixesFor(snapshot, at(0), Syn(80))[1].command == "nft delete rule ip filter input handle 10");
  REQUIRE(FixesFor(snapshot, at(1), Syn(80)).size() == 1);
  CHECK(FixesFor(snapshot, at(1), Syn(80))[0].command.find("saddr 192.0.2.7") != std::string::npos);
}

TEST_CASE("the undo of an nft rule finds that rule, and no other that ends in the same text") {
  Firewall firewall;
  firewall.Base("filter", "input", "input", 0, Verdict::kAccept, {Does(Verdict::kDrop, {Tcp(), ToPort(80)})});
  const FirewallReading snapshot = firewall.Now();
  const Decision stop{Verdict::kDrop, Match::kYes, {}, {kNft, 0}, RuleRef{kNft, 0}, {}};
  const Fix fix = FixesFor(snapshot, stop, Syn(80)).at(0);
  const std::size_t at = fix.command.find("comment \"by hand ");
  REQUIRE(at != std::string::npos);
  const std::string comment = fix.command.substr(at, fix.command.rfind('"') + 1 - at);
  CHECK(fix.undo.find("grep -m1 -F '" + comment + " # handle'") != std::string::npos);
}

TEST_CASE("answers are let through for the family alone that the rule stops") {
  for (const auto& [family, number, word] : {std::tuple{Family::kIpv4, 2U, "ipv4"}, {Family::kIpv6, 10U, "ipv6"}}) {
    Firewall firewall;
    firewall.Base("filter", "input", "input", 0, Verdict::kAccept,
                  {Does(Verdict::kDrop, {Numbers(Kind::kFamily, {{number, number}})})}, RuleFamily::kInet);
    const FirewallReading snapshot = firewall.Now();
    const PacketWalker walker(snapshot);
    Packet answer = Syn(80);
    answer.family = family;
    answer.source.reset();  // anybody's
    answer.state = kStateEstablished;
    const auto fix = FirewallCommands(walker, {})
                         .AcceptAnswers({Verdict::kDrop, Match::kYes, {}, {kNft, 0}, RuleRef{kNft, 0}, {}}, answer);
    REQUIRE(fix);
    CHECK(fix->command.starts_with("nft 'insert rule inet filter input handle 10 meta nfproto " + std::string(word) +
                                   " ct state established,related accept "));
  }
}

TEST_CASE("an exemption from a limit is for the destination and the SYN that the rules behind were asked about") {
  BuiltRule limited = Does(Verdict::kAccept, {Tcp(), ToPort(80)});
  limited.rule.limits.emplace_back();
  Firewall firewall;
  firewall.Base("filter", "input", "input", 0, Verdict::kDrop, {limited});
  const FirewallReading snapshot = firewall.Now();
  const PacketWalker walker(snapshot);
  const Decision limit{Verdict::kAccept, Match::kYes, {}, {kNft, 0}, RuleRef{kNft, 0}, {}};
  const auto fix = FirewallCommands(walker, {}).AcceptBeyondLimit(limit, Syn(80));
  REQUIRE(fix);
  CHECK(fix->command.find("ip daddr 192.0.2.1 ") != std::string::npos);
  CHECK(fix->command.find("tcp flags & 0x17 == 0x2 ") != std::string::npos);
}

TEST_CASE("a chain that several rules lead to takes no accept for the sake of one policy") {
  Firewall firewall;
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kDrop, {Leads(Verdict::kGoto, "X")});
  firewall.Base("filter", "FORWARD", "forward", 0, Verdict::kDrop, {Leads(Verdict::kGoto, "X")});
  firewall.Own("filter", "X", {});
  const FirewallReading snapshot = firewall.Now();
  CHECK(FixesFor(snapshot, {Verdict::kDrop, Match::kYes, {}, {kNft, 0}, std::nullopt, {}}, Syn(80)).empty());
}

TEST_CASE("what is translated to a port is let in as such, and not who asks for that port itself") {
  const FirewallReading reading;
  const PacketWalker walker(reading);
  Packet packet;
  packet.source = IpAddress::Parse("192.0.2.7");
  packet.protocol = 6;
  packet.destination_port = NumberRange{80, 80};
  const bool translated = GENERATE(true, false);
  if (translated) packet.status = kStatusDestinationNat;
  const auto conditions = AcceptOfPacket("input", nullptr, packet, walker.matcher());
  REQUIRE(conditions);
  CHECK((AttributeText(*conditions, Family::kIpv4)->find("ct status dnat") != std::string::npos) == translated);
  CHECK((IptablesText(*conditions, Family::kIpv4)->find("--ctstate DNAT") != std::string::npos) == translated);
}
