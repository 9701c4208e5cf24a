#include "daemon/diagnose/rules/rule_findings.h"

#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/rules/asked_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

BuiltRule Counted(BuiltRule rule, std::uint64_t packets, std::uint64_t rose) {
  rule.packets = packets, rule.rose = rose;
  return rule;
}

BuiltRule Connlimit(std::uint64_t connections) {
  BuiltRule rule = Does(Verdict::kReject, {Tcp(), ToPort(80)}, "connlimit");
  RuleLimit limit;
  limit.per = RuleLimit::Per::kSource;
  limit.connections = connections;
  rule.rule.limits.push_back(limit);
  return rule;
}

}  // namespace

TEST_CASE("the rule that stops the asked traffic is named, with what it counted") {
  AskedRules asked;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept,
                      {Does(Verdict::kAccept, {ToPort(22)}),
                       Counted(Does(Verdict::kReject, {Tcp(), ToPort(80)}, "tcp dport 80 reject"), 12, 3)});
  const auto report = asked.Ask("192.0.2.7", 80).Look();
  REQUIRE(report.findings.size() == 1);
  const diagnose::Finding& finding = report.findings[0];
  CHECK(finding.id == diagnose::FindingId::kRejectRule);
  CHECK(finding.certainty > 0.9);
  CHECK(finding.evidence[0] == "nftables, table ip filter, chain input, line 2, handle 11: tcp dport 80 reject");
  CHECK(finding.evidence[1].find("12 packets, 3 of them") != std::string::npos);
  REQUIRE(finding.fix.size() == 1);
  CHECK(
      finding.fix[0].command.starts_with("nft 'insert rule ip filter input handle 11 ip saddr 192.0.2.7 iifname "
                                         "\"eth0\" tcp dport 80 accept comment \"by hand "));
}

TEST_CASE("traffic that passes finds nothing") {
  AskedRules asked;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kDrop,
                      {Does(Verdict::kAccept, {Established()}), Does(Verdict::kAccept, {Tcp(), ToPort(80)})});
  CHECK(asked.Ask("192.0.2.7", 80).Ids().empty());
  CHECK(asked.Ask("192.0.2.7", 81).Ids() == Strings{"drop-policy"});
}

TEST_CASE("an accept that comes too late comes before the rule that it comes after") {
  AskedRules asked;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept,
                      {Does(Verdict::kAccept, {Established()}), Does(Verdict::kReject, {}, "reject"),
                       Does(Verdict::kAccept, {Tcp(), ToPort(80)}, "tcp dport 80 accept")});
  CHECK(asked.Ask("192.0.2.7", 80).Ids() == Strings{"late-accept", "reject-rule"});
  CHECK(asked.Look().findings[0].fix[0].command.starts_with(
      "nft 'insert rule ip filter input handle 11 ip saddr 192.0.2.7 iifname \"eth0\" tcp dport 80 accept comment \"by "
      "hand "));
  CHECK(asked.Look().findings[0].decide.find("before rule 2") != std::string::npos);
  asked.question = {};
  const auto unasked = asked.Look();
  CHECK(unasked.findings[0].id == diagnose::FindingId::kLateAccept);
  CHECK(unasked.findings[0].fix.empty());
}

TEST_CASE("who is banned by address is told so, whatever is accepted from everybody behind the ban") {
  AskedRules asked;
  asked.firewall.Base(
      "filter", "input", "input", 0, Verdict::kDrop,
      {Does(Verdict::kAccept, {Established()}), Does(Verdict::kReject, {From("192.0.2.7", "192.0.2.9")}),
       Does(Verdict::kAccept, {Tcp(), ToPort(80)})});
  CHECK(asked.Ask("192.0.2.7", 80).Ids() == Strings{"reject-rule", "late-accept"});
  AskedRules excepted;
  excepted.firewall.Base("filter", "input", "input", 0, Verdict::kDrop,
                         {Does(Verdict::kDrop, {From("192.0.2.0", "192.0.2.255")}),
                          Does(Verdict::kAccept, {From("192.0.2.7", "192.0.2.7"), ToPort(80)})});
  CHECK(excepted.Ask("192.0.2.7", 80).Ids()[0] == "late-accept");
}

TEST_CASE("where a rule stops both ways, its cure lets the answers through, too") {
  AskedRules asked;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept, {Does(Verdict::kDrop, {Tcp(), ToPort(80)})});
  asked.firewall.Base("filter", "output", "output", 0, Verdict::kDrop, {});
  const std::string command = asked.Ask("192.0.2.7", 80).Look().findings[0].fix[0].command;
  CHECK(command.starts_with(
      "nft 'insert rule ip filter input handle 10 ip saddr 192.0.2.7 iifname \"eth0\" tcp dport 80 accept "));
  CHECK(command.find(" && nft 'add rule ip filter output ip saddr 192.0.2.1 ip daddr 192.0.2.7 tcp sport 80 ct state "
                     "established accept ") != std::string::npos);
}

TEST_CASE("what is seen to fail is looked up in the rules, though nothing was asked and nothing counts") {
  AskedRules asked;
  BuiltRule drops = Does(Verdict::kDrop, {Tcp(), ToPort(80)});
  drops.rule.has_counter = false;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept, {drops});
  WatchedPackets watched;
  watched.lasted = std::chrono::seconds(2);
  WatchedFlow& flow = watched.flows.emplace_back();
  flow.source = *IpAddress::Parse("192.0.2.7");
  flow.destination = *IpAddress::Parse("192.0.2.1");
  flow.protocol = 6, flow.destination_port = 80, flow.in_link = 2, flow.requests = 1;
  CHECK(asked.Ids().empty());
  asked.watched = &watched;
  const auto report = asked.Look();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].title.find("TCP from 192.0.2.7 to port 80") != std::string::npos);
  flow.answer = WatchedFlow::Answer::kAccepted;
  CHECK(asked.Ids().empty());
}

TEST_CASE("of rules that were not read nothing is claimed, and those that were are told") {
  AskedRules asked;
  asked.firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {Does(Verdict::kDrop, {Tcp(), ToPort(81)})},
                      RuleFamily::kIp, "filter", RuleBackend::kIptablesLegacy);
  CHECK(asked.Ask("192.0.2.7", 80).Look().checked.size() > 3);
  CHECK(asked.outcome.passes == Match::kYes);
  asked.unread = RuleBackend::kNftables;
  const auto report = asked.Look();
  CHECK(report.findings.empty());
  CHECK(report.checked.empty());
  CHECK(asked.outcome.passes == Match::kMaybe);
  CHECK(asked.outcome.unread == Strings{"nftables"});
  asked.lacks_capability = true;
  asked.Look();
  CHECK(asked.outcome.passes == Match::kMaybe);
  CHECK(asked.outcome.unread == Strings{"nftables"});
  CHECK(asked.Ask("192.0.2.7", 81).Ids() == Strings{"drop-rule"});
  CHECK(asked.outcome.passes == Match::kNo);
}

TEST_CASE("answers that may not leave are told, where the first packet may come in") {
  AskedRules asked;
  asked.firewall.Base("filter", "output", "output", 0, Verdict::kDrop, {Does(Verdict::kAccept, {Tcp(), ToPort(443)})});
  CHECK(asked.Ask("192.0.2.7", 80).Ids() == Strings{"established-not-accepted"});
}

TEST_CASE("without a question only what is being stopped now is told") {
  AskedRules asked;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept,
                      {Counted(Does(Verdict::kDrop, {Tcp(), ToPort(23)}), 9, 0),
                       Counted(Does(Verdict::kDrop, {Tcp(), ToPort(80)}), 9, 4),
                       Counted(Does(Verdict::kDrop, {State(kStateInvalid)}), 500, 0)});
  const auto report = asked.Look();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].id == diagnose::FindingId::kDropRule);
  CHECK(report.findings[0].evidence[0].find("line 2") != std::string::npos);
}

TEST_CASE("a source that holds as many connections as a rule allows is at its limit") {
  AskedRules asked;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept, {Connlimit(10)});
  asked.Hold("192.0.2.7", 10).Hold("192.0.2.8", 3);
  CHECK(asked.Ask("192.0.2.7", 80).Ids() == Strings{"source-at-limit"});
  CHECK(asked.Ask("192.0.2.8", 80).Ids().empty());
  CHECK(asked.Ask("192.0.2.7", 22).Ids().empty());
  asked.question = {};
  CHECK(asked.Ids() == Strings{"source-at-limit"});
  AskedRules near;
  near.firewall.Base("filter", "input", "input", 0, Verdict::kAccept, {Connlimit(10)});
  const auto report = near.Hold("192.0.2.7", 8).Ask("192.0.2.7", 80).Look();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].certainty < 0.5);
}

TEST_CASE("what could not be evaluated is said, and accuses nobody") {
  AskedRules asked;
  BuiltRule odd = Does(Verdict::kDrop, {}, "odd");
  odd.rule.fully_understood = false;
  odd.rule.not_understood = "string";
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept, {odd});
  const auto report = asked.Ask("192.0.2.7", 80).Look();
  CHECK(report.findings.empty());
  REQUIRE_FALSE(report.not_checked.empty());
  CHECK(report.not_checked[0].why.find("string") != std::string::npos);
}

TEST_CASE("of a rule that may stop it and one behind it that would, counters tell which does") {
  BuiltRule odd = Does(Verdict::kDrop, {Tcp(), ToPort(80)}, "odd");
  odd.rule.fully_understood = false;
  odd.rule.not_understood = "bpf";
  const BuiltRule ban = Does(Verdict::kDrop, {From("192.0.2.7", "192.0.2.7")}, "ban");
  struct Case {
    BuiltRule first, second;
    const char* told;
    double least, most;
  };
  for (const Case& each : {
           Case{Counted(odd, 9, 3), Counted(ban, 0, 0), "Rule 1", 0.6, 0.7},   // now
           Case{Counted(odd, 9, 0), Counted(ban, 0, 0), "Rule 1", 0.6, 0.7},   // so far
           Case{Counted(odd, 9, 3), Counted(ban, 9, 3), "Rule 2", 0.75, 0.9},  // both do
           Case{odd, ban, "Rule 2", 0.75, 0.9},                                // nothing tells
           Case{Does(Verdict::kDrop, {ToPort(81)}), Counted(ban, 0, 0), "Rule 2", 0.95, 1},
       }) {
    AskedRules one;
    one.firewall.Base("filter", "input", "input", 0, Verdict::kAccept, {each.first, each.second});
    const auto report = one.Ask("192.0.2.7", 80).Look();
    REQUIRE_FALSE(report.findings.empty());
    const diagnose::Finding& first = *std::ranges::max_element(
        report.findings, {}, [](const diagnose::Finding& finding) { return finding.certainty; });
    CHECK(first.title.starts_with(each.told));
    CHECK(first.certainty >= each.least);
    CHECK(first.certainty <= each.most);
  }
}

TEST_CASE("a LOG rule whose prefix speaks of debugging is told last") {
  AskedRules asked;
  BuiltRule log = Does(Verdict::kLog, {ToPort(80)});
  log.rule.log_prefix = "DEBUG ";
  BuiltRule sound = Does(Verdict::kLog);
  sound.rule.log_prefix = "dropped: ";
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept,
                      {log, sound, Counted(Does(Verdict::kDrop), 5, 5)});
  CHECK(asked.Ids() == Strings{"drop-rule", "established-not-accepted", "debug-log-rule"});
}

TEST_CASE("chains that no walk goes through are said") {
  AskedRules asked;
  asked.firewall.Base("b", "forward", "forward", 0, Verdict::kDrop, {}, RuleFamily::kArp);
  const auto report = asked.Look();
  REQUIRE(report.not_checked.size() == 1);
  CHECK(report.not_checked[0].what == "table arp b, chain forward");
}
