#include "daemon/diagnose/rules/rule_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/rules/asked_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

// `attempts` of 192.0.2.7 at that port, all with the same end.
WatchedPackets Watched(std::uint16_t port, std::uint32_t attempts, WatchedFlow::Answer answer) {
  WatchedPackets watched;
  watched.lasted = std::chrono::seconds(5);
  for (std::uint32_t i = 0; i < attempts; ++i) {
    WatchedFlow& flow = watched.flows.emplace_back();
    flow.source = *IpAddress::Parse("192.0.2.7");
    flow.destination = *IpAddress::Parse("192.0.2.1");
    flow.source_port = static_cast<std::uint16_t>(40'000 + i);
    flow.destination_port = port;
    flow.protocol = 6;
    flow.in_link = 2;
    flow.requests = 1;
    flow.answer = answer;
  }
  return watched;
}

// Accepts by a condition that nobody understands, and drops all else.
AskedRules AcceptsPerhaps(std::optional<std::uint64_t> taken) {
  AskedRules rules;
  BuiltRule accept = Does(Verdict::kAccept, {Tcp(), ToPort(80)}, "meta hour 8-18 tcp dport 80 accept");
  accept.rule.fully_understood = false;
  accept.counted = taken.has_value();
  accept.packets = taken.value_or(0);
  rules.firewall.Base("filter", "input", "input", 0, Verdict::kDrop, {accept});
  rules.Ask("192.0.2.7", 80);
  return rules;
}

}  // namespace

TEST_CASE("a policy behind an accept that is not understood is not accused where the accept takes such packets") {
  SECTION("nothing was seen, and the accept took none") {
    const auto findings = AcceptsPerhaps(0).Look().findings;
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].id == diagnose::FindingId::kDropPolicy);
    CHECK(findings[0].certainty > 0.5);
  }
  SECTION("nothing was seen, and what the accept took nobody counts") {
    CHECK(AcceptsPerhaps(std::nullopt).Look().findings.at(0).certainty < 0.5);
  }
  SECTION("nothing was seen, and the accept took some") { CHECK(AcceptsPerhaps(12).Ids().empty()); }
  SECTION("all that was seen is accepted") {
    AskedRules rules = AcceptsPerhaps(0);
    const WatchedPackets watched = Watched(80, 3, WatchedFlow::Answer::kAccepted);
    rules.watched = &watched;
    CHECK(rules.Ids().empty());
  }
  SECTION("what was seen fails, whatever the accept took before") {
    AskedRules rules = AcceptsPerhaps(12);
    const WatchedPackets watched = Watched(80, 3, WatchedFlow::Answer::kNone);
    rules.watched = &watched;
    CHECK(rules.Ids() == Strings{"drop-policy"});
  }
}

TEST_CASE("unasked, what is stopped is told where somebody listens, and a knock at a closed port is not") {
  AskedRules rules;
  rules.firewall.Base("filter", "input", "input", 0, Verdict::kDrop, {Does(Verdict::kAccept, {Established()})});
  ListeningSocket socket;
  socket.protocol = 6;
  socket.port = 443;
  rules.host.listeners = std::vector{socket};
  const WatchedPackets knocks = Watched(2323, 5, WatchedFlow::Answer::kNone);
  const WatchedPackets attempts = Watched(443, 5, WatchedFlow::Answer::kNone);
  rules.watched = &knocks;
  CHECK(rules.Ids().empty());
  rules.watched = &attempts;
  CHECK(rules.Ids() == Strings{"drop-policy"});
  SECTION("who asks for it is told") {
    rules.watched = &knocks;
    CHECK(rules.Ask("192.0.2.7", 2323).Ids() == Strings{"drop-policy"});
  }
}

TEST_CASE("an accept names this host's address where the chain is asked for others' packets as well") {
  AskedRules rules;
  SECTION("two hooks lead to it") {
    rules.firewall.Own("filter", "refuse", {Does(Verdict::kReject, {}, "reject")})
        .Base("filter", "input", "input", 0, Verdict::kAccept, {Leads(Verdict::kJump, "refuse", {Tcp(), ToPort(80)})})
        .Base("filter", "forward", "forward", 0, Verdict::kAccept, {Leads(Verdict::kJump, "refuse")});
  }
  SECTION("its hook has all that arrives") {
    rules.firewall.Base("raw", "prerouting", "prerouting", -300, Verdict::kAccept,
                        {Does(Verdict::kDrop, {Tcp(), ToPort(80)}, "tcp dport 80 drop")});
  }
  const auto report = rules.Ask("192.0.2.7", 80).Look();
  REQUIRE(report.findings.size() == 1);
  REQUIRE_FALSE(report.findings[0].fix.empty());
  CHECK(report.findings[0].fix[0].command.find("ip saddr 192.0.2.7 ip daddr 192.0.2.1 ") != std::string::npos);
}
