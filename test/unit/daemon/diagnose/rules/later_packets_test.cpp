// Packets that follow the first one, and entries that are older than the rules.
#include <netinet/in.h>

#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/rules/asked_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

Firewall Input(Verdict policy, std::vector<BuiltRule> rules) {
  return Firewall().Base("filter", "INPUT", "input", 0, policy, std::move(rules));
}

WatchedPackets Stalling() {
  WatchedPackets watched;
  StalledStream stalled;
  stalled.ends = {*IpAddress::Parse("198.51.100.2"), *IpAddress::Parse("192.0.2.1"), 40000, 80};
  stalled.in_link = 2;
  stalled.times = 4;
  watched.stalled = {stalled};
  return watched;
}

// Drops whatever is NEW in the midst of a connection.
AskedRules OnlyBeginnings(std::uint32_t state) {
  AskedRules rules;
  BuiltRule drops = Does(Verdict::kDrop, {State(state), Tcp(), Numbers(RuleCondition::Kind::kTcpFlags, {{0, 2}})});
  drops.packets = drops.rose = 4;
  rules.firewall = Input(Verdict::kAccept, {drops});
  rules.Ask("198.51.100.2", std::uint16_t{80});
  return rules;
}

bool IsCertain(const diagnose::Report& report) {
  return std::any_of(report.findings.begin(), report.findings.end(),
                     [](const diagnose::Finding& each) { return each.certainty > 0.9; });
}

}  // namespace

TEST_CASE("data that comes again and again is followed as conntrack sees it") {
  const WatchedPackets watched = Stalling();
  AskedRules expired = OnlyBeginnings(kStateNew);
  CHECK_FALSE(expired.Look().Has(diagnose::FindingId::kDropRule));
  expired.watched = &watched;
  const auto report = expired.Look();
  REQUIRE(report.Has(diagnose::FindingId::kDropRule));
  CHECK(IsCertain(report));
  CHECK(report.findings[0].fix.empty());
  CHECK(report.findings[0].decide.find("nf_conntrack_tcp_timeout_established") != std::string::npos);

  AskedRules known = OnlyBeginnings(kStateNew);  // its entry is there: it is ESTABLISHED
  known.watched = &watched;
  known.Hold("198.51.100.2", 1);
  known.host.connections->connections[0].status = 2;
  CHECK_FALSE(IsCertain(known.Look()));

  AskedRules strict = OnlyBeginnings(kStateInvalid);
  strict.watched = &watched;
  strict.host.sysctls["net/netfilter/nf_conntrack_tcp_loose"] = "0";
  CHECK(strict.Look().findings[0].cause.find("nf_conntrack_tcp_loose is 0") != std::string::npos);
}

TEST_CASE("data that goes on is lost elsewhere") {
  WatchedPackets watched = Stalling();
  watched.stalled[0].out_link = 3;
  AskedRules rules = OnlyBeginnings(kStateNew);
  rules.watched = &watched;
  CHECK_FALSE(IsCertain(rules.Look()));
}

TEST_CASE("ICMP that was seen to come and is stopped belongs to the connection") {
  WatchedPackets watched;
  TooLong said;
  said.ends = {*IpAddress::Parse("192.0.2.1"), *IpAddress::Parse("198.51.100.2"), 80, 40000};
  said.said_by = *IpAddress::Parse("203.0.113.1");
  said.said_to = *IpAddress::Parse("192.0.2.1");
  said.in_link = 2, said.mtu = 1280, said.times = 3;
  watched.too_long = {said};
  AskedRules rules;
  rules.firewall =
      Input(Verdict::kDrop, {Does(Verdict::kAccept, {State(kStateEstablished)}), Does(Verdict::kAccept, {Tcp()})});
  rules.Ask("198.51.100.2", std::uint16_t{80});
  CHECK_FALSE(rules.Look().Has(diagnose::FindingId::kRelatedDropped));
  rules.watched = &watched;
  CHECK(rules.Ids()[0] == "related-dropped");
  rules.firewall = Input(Verdict::kDrop, {Does(Verdict::kAccept, {Established()}), Does(Verdict::kAccept, {Tcp()})});
  CHECK_FALSE(rules.Look().Has(diagnose::FindingId::kRelatedDropped));
}

TEST_CASE("a UDP entry that was translated, where no rule translates any more, is stale") {
  AskedRules rules;
  rules.firewall = Input(Verdict::kAccept, {});
  rules.Ask("198.51.100.2", std::uint16_t{53});
  rules.question.protocol = IPPROTO_UDP;
  Connection entry;
  entry.key.source = IpAddress::Parse("198.51.100.2")->bytes;
  entry.key.destination = IpAddress::Parse("192.0.2.1")->bytes;
  entry.key.protocol = IPPROTO_UDP;
  entry.key.source_port = 5353, entry.key.destination_port = 53;
  entry.reply.source = IpAddress::Parse("10.0.0.9")->bytes;
  entry.reply.destination = entry.key.source;
  entry.reply.source_port = 53, entry.reply.destination_port = 5353;
  entry.status = kStatusDestinationNat;
  rules.host.connections->connections = {entry};
  const auto report = rules.Look();
  REQUIRE(report.Has(diagnose::FindingId::kStaleEntry));
  CHECK(report.findings[0].fix[0].command ==
        "conntrack -D -p udp -s 198.51.100.2 -d 192.0.2.1 --sport 5353 --dport 53");
  rules.host.connections->connections[0].reply.source = entry.key.destination;
  rules.host.connections->connections[0].status = 0;
  CHECK_FALSE(rules.Look().Has(diagnose::FindingId::kStaleEntry));
}
