#include "daemon/diagnose/table/table_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using Names = std::vector<std::string>;

TEST_CASE("an ordinary table accuses nobody") {
  Staged staged;
  staged.Fill(5000);
  CHECK(staged.Check(CheckTablePressure).findings.empty());
  CHECK(staged.Check(CheckTableCounters).findings.empty());
  CHECK(staged.Check(CheckTimeouts).findings.empty());
  CHECK_FALSE(staged.Check(CheckTablePressure).checked.empty());
}

TEST_CASE("a table at its limit, or one that drops just now, is full") {
  Staged brim;
  brim.Fill(10'000);
  REQUIRE(Ids(brim.Check(CheckTablePressure)) == Names{"table-full"});
  CHECK(brim.Check(CheckTablePressure).findings[0].certainty > 0.9);
  Staged dropping;
  dropping.Fill(6000);
  dropping.Count(TableCounter::kEarlyDrop, 10, 12);
  const Report report = dropping.Check(CheckTablePressure);
  REQUIRE(Ids(report) == Names{"table-full"});
  CHECK(report.findings[0].certainty > 0.9);
}

TEST_CASE("what was dropped long ago is less certain than what is dropped now") {
  Staged staged;
  staged.Fill(100);
  staged.Count(TableCounter::kDrop, 50, 50);
  const Report report = staged.Check(CheckTablePressure);
  REQUIRE(Ids(report) == Names{"table-full"});
  CHECK(report.findings[0].certainty < 0.7);
  CHECK(Says(report.findings[0], "was full"));
}

TEST_CASE("clashes count as dropped, and are no full table") {
  Staged staged;
  staged.Count(TableCounter::kDrop, 500, 500);
  staged.Count(TableCounter::kInsertFailed, 500, 500);
  staged.host.uptime = std::chrono::hours(10);
  CHECK(staged.Check(CheckTablePressure).findings.empty());
  CHECK(Ids(staged.Check(CheckTableCounters)) == Names{"insert-failed"});
  staged.Count(TableCounter::kInsertFailed, 5, 5);
  staged.Count(TableCounter::kDrop, 5, 5);
  CHECK(staged.Check(CheckTableCounters).findings.empty());  // some, in ten hours
  staged.Count(TableCounter::kInsertFailed, 5, 6);
  CHECK(Ids(staged.Check(CheckTableCounters)) == Names{"insert-failed"});
}

TEST_CASE("losses of the first minutes are a burst at boot") {
  Staged young;
  young.host.uptime = std::chrono::minutes(3);
  young.Count(TableCounter::kDrop, 50, 50);
  auto report = young.Check(CheckTablePressure);
  CHECK(Ids(report) == Names{"boot-burst", "table-full"});
  CHECK(report.findings[0].certainty > report.findings[1].certainty);

  Staged logged;
  logged.Count(TableCounter::kDrop, 50, 50);
  logged.host.kernel_log->table_full = {{std::chrono::seconds(90), "nf_conntrack: table full"}};
  CHECK(Ids(logged.Check(CheckTablePressure)) == Names{"boot-burst", "table-full"});
  logged.host.kernel_log->table_full.push_back({std::chrono::hours(5), "nf_conntrack: table full"});
  CHECK(Ids(logged.Check(CheckTablePressure)) == Names{"table-full"});
  logged.host.kernel_log->table_full.pop_back();
  logged.host.kernel_log->lost = 1;  // there may have been later ones
  CHECK(Ids(logged.Check(CheckTablePressure)) == Names{"table-full"});
}

TEST_CASE("a line that may be of another namespace's table makes no finding, and none more certain") {
  Staged foreign;
  foreign.host.uptime = std::chrono::hours(10);
  foreign.host.kernel_log->table_full_lines = 1;
  foreign.host.kernel_log->table_full = {
      {foreign.host.uptime - std::chrono::minutes(1), "nf_conntrack: table full, dropping packet"}};
  CHECK(foreign.Check(CheckTablePressure).findings.empty());
  foreign.Count(TableCounter::kDrop, 50, 50);
  const auto unnamed = foreign.Check(CheckTablePressure);
  foreign.host.kernel_log->table_full_names_us = true;
  const auto named = foreign.Check(CheckTablePressure);
  CHECK(Ids(unnamed) == Names{"table-full"});
  CHECK(unnamed.findings[0].certainty < named.findings[0].certainty);
}

TEST_CASE("a table over its warning, or one that will be full soon, is nearly full") {
  Staged staged;
  staged.Fill(7400);
  CHECK(staged.Check(CheckTablePressure).findings.empty());
  staged.Fill(7600);
  CHECK(Ids(staged.Check(CheckTablePressure)) == Names{"table-near-full"});

  Staged growing;
  growing.first_table().entries = 1000;
  growing.last_table().entries = 1500;
  CHECK(growing.Check(CheckTablePressure).findings.empty());  // a second is too short to tell
  growing.host.last.when += std::chrono::seconds(9);
  const Report report = growing.Check(CheckTablePressure);
  REQUIRE(Ids(report) == Names{"table-near-full"});
  CHECK(Says(report.findings[0], "full in 3 min"));
  growing.last_table().entries = 1010;
  CHECK(growing.Check(CheckTablePressure).findings.empty());

  growing.daemon = RunningDaemon{};
  growing.daemon->seconds_until_full = 600;
  CHECK(Ids(growing.Check(CheckTablePressure)) == Names{"table-near-full"});
  growing.daemon->seconds_until_full = 6000;
  CHECK(growing.Check(CheckTablePressure).findings.empty());
}

TEST_CASE("who holds a full table is told: one source, a few, or spoofed thousands") {
  Staged one;
  one.Fill(10'000);
  one.Add("192.0.2.7", 900, TcpState::kEstablished, 400'000);
  one.Add("192.0.2.8", 100, TcpState::kSynSent, 100);
  auto finding = one.Check(CheckTablePressure).findings[0];
  CHECK(Says(finding, "192.0.2.7 holds 900 connections (90 %)"));
  CHECK(Says(finding, "one source holds most"));
  CHECK(finding.fix[0].command == "conntrack -D -s 192.0.2.7");
  Staged spoofed;
  spoofed.Fill(10'000);
  for (int i = 0; i < 2000; ++i) {
    spoofed.Add(("198.51." + std::to_string(i / 200) + "." + std::to_string(i % 200)).c_str(), 1, TcpState::kSynSent,
                100);
  }
  CHECK(Says(spoofed.Check(CheckTablePressure).findings[0], "likely spoofed"));
}

TEST_CASE("too few buckets are told of where they are felt, or far beyond reason") {
  Staged staged;
  staged.first_table().buckets = staged.last_table().buckets = 1000;  // 10 each: a choice
  CHECK(staged.Check(CheckTableCounters).findings.empty());
  staged.first_table().buckets = staged.last_table().buckets = 500;  // 20 each, but empty
  CHECK(staged.Check(CheckTableCounters).findings.empty());
  staged.Fill(2000);
  CHECK(Ids(staged.Check(CheckTableCounters)) == Names{"buckets-too-few"});
  Staged refusing;
  refusing.Count(TableCounter::kChainTooLong, 1, 3);
  refusing.Count(TableCounter::kInsertFailed, 1, 3);
  CHECK(Ids(refusing.Check(CheckTableCounters)) == Names{"buckets-too-few"});
}

TEST_CASE("what a namespace counted is held against its own age, not the machine's") {
  Staged staged;
  staged.host.uptime = std::chrono::hours(1000);
  staged.Count(TableCounter::kInvalid, 60, 60);
  CHECK(staged.Check(CheckTableCounters).findings.empty());
  staged.host.in_first_namespace = false;
  CHECK(Ids(staged.Check(CheckTableCounters)) == Names{"invalid-packets"});
}

TEST_CASE("invalid packets of the past explain nothing that is asked about") {
  Staged staged;
  staged.host.in_first_namespace = false;
  staged.Count(TableCounter::kInvalid, 60, 60);
  CHECK(staged.Check(CheckTableCounters).findings.at(0).certainty > kHygieneMax);
  staged.question.source = Address("10.0.0.2");
  CHECK(staged.Check(CheckTableCounters).findings.at(0).certainty <= kHygieneMax);
}

TEST_CASE("invalid packets are worse where a rule drops them") {
  Staged staged;
  staged.Count(TableCounter::kInvalid, 10, 10);
  CHECK(staged.Check(CheckTableCounters).findings.empty());
  staged.Count(TableCounter::kInvalid, 10, 60);
  auto report = staged.Check(CheckTableCounters);
  REQUIRE(Ids(report) == Names{"invalid-packets"});
  const double alone = report.findings[0].certainty;
  Ruleset rules;
  Rule rule;
  rule.verdict = Verdict::kDrop;
  rule.text = "ct state invalid drop";
  RuleCondition invalid;
  invalid.kind = RuleCondition::Kind::kConntrackState;
  invalid.numbers = {{1, 1}};
  rule.conditions.push_back(invalid);
  rules.rules.push_back(rule);
  auto& read = staged.rules.backends[RuleBackend::kNftables];
  read.present = true;
  read.ruleset = std::make_shared<Ruleset>(rules);
  read.counters = {RuleCounter{50, 3000}};
  report = staged.Check(CheckTableCounters);
  CHECK(report.findings[0].certainty > alone);
  CHECK(Says(report.findings[0], "has dropped 50"));
}

TEST_CASE("timeouts are too long when what they keep fills the table") {
  Staged staged;
  staged.Add("192.0.2.7", 4000, TcpState::kEstablished, 432'000 - 86'400);
  staged.Add("192.0.2.8", 1500, TcpState::kEstablished, 432'000 - 10);
  CHECK(Ids(staged.Check(CheckTimeouts)) == Names{"timeouts-too-long"});
  staged.last_table().limit = 100'000;
  CHECK(staged.Check(CheckTimeouts).findings.empty());

  Staged waiting;
  waiting.Add("192.0.2.7", 3000, TcpState::kTimeWait, 100);
  CHECK(waiting.Check(CheckTimeouts).findings.empty());
  waiting.host.sysctls["net/netfilter/nf_conntrack_tcp_timeout_time_wait"] = "600";
  const Report report = waiting.Check(CheckTimeouts);
  REQUIRE(Ids(report) == Names{"timeouts-too-long"});
  CHECK(report.findings[0].fix[0].command == "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=120");
  CHECK(report.findings[0].fix[0].undo == "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=600");
}
