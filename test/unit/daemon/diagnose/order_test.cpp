#include "daemon/diagnose/order.h"

#include <linux/netfilter/nf_conntrack_common.h>

#include "daemon/diagnose/table/table_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;

TEST_CASE("what was counted once stays behind what is so now, and before what is untidy") {
  const auto ranked = [](double past, double present) {
    Report report;
    report.findings.resize(2);
    report.findings[0].id = FindingId::kBootBurst, report.findings[0].certainty = past,
    report.findings[0].when = When::kPast;
    report.findings[1].id = FindingId::kTableFull, report.findings[1].certainty = present;
    RankFindings(report);
    CHECK(report.findings[0].certainty >= report.findings[1].certainty);
    return report.findings[0].id;
  };
  CHECK(ranked(0.7, 0.4) == FindingId::kTableFull);
  CHECK(ranked(0.3, 0.4) == FindingId::kTableFull);
  CHECK(ranked(0.7, kHygieneMax) == FindingId::kBootBurst);
}

TEST_CASE("what is wrong with the table now comes before what was wrong at boot") {
  const auto first = [](Staged& staged) {
    staged.host.uptime = std::chrono::minutes(3);
    Report report = staged.Check(CheckTablePressure);
    RankFindings(report);
    return report.findings.at(0);
  };
  Staged high;
  high.Count(TableCounter::kDrop, 50, 50);
  high.Fill(9600);
  CHECK(first(high).id == FindingId::kTableFull);
  CHECK(Says(first(high), "96 % full"));
  Staged brim;
  brim.Count(TableCounter::kDrop, 50, 60);
  brim.Fill(10'000);
  CHECK(first(brim).id == FindingId::kTableFull);
  Staged growing;
  growing.Count(TableCounter::kDrop, 50, 50);
  growing.daemon = RunningDaemon{};
  growing.daemon->seconds_until_full = 60;
  CHECK(first(growing).id == FindingId::kTableNearFull);
  Staged over;
  over.Count(TableCounter::kDrop, 50, 50);
  over.Fill(100);
  CHECK(first(over).id == FindingId::kBootBurst);
}

TEST_CASE("what was seen to be answered is accused by nothing, and what the table tells of by nothing in doubt") {
  Staged staged;
  staged.question.source = Address("10.0.0.2");
  staged.question.destination_port = std::uint16_t{80};
  const auto left = [&](double certainty, bool stops_meanwhile = false) {
    Report report;
    Finding& finding = report.findings.emplace_back();
    finding.id = FindingId::kDropPolicy, finding.certainty = certainty, finding.stops_meanwhile = stops_meanwhile;
    staged.Check([&](const Case& facts, Report&) { LeaveOutWhatIsSeenToWork(facts, report); });
    return !report.findings.empty();
  };
  CHECK(left(0.5));
  SECTION("on the wire") {
    WatchedFlow flow;
    flow.answer = WatchedFlow::Answer::kAccepted;
    staged.watched = WatchedPackets{std::chrono::seconds(1), {flow}};
    CHECK_FALSE(left(0.98));
    CHECK(left(0.5, true));  // a rule that cuts connections later
    staged.watched->flows[0].asked_again = 1;
    CHECK(left(0.5));
    staged.watched->flows.push_back({});  // one that has no answer
    CHECK(left(0.5));
  }
  SECTION("in the table") {
    staged.Add("10.0.0.2", 1, TcpState::kTimeWait, 119, 80, false, IPS_SEEN_REPLY);
    CHECK_FALSE(left(0.5));
    CHECK(left(0.98));
    staged.list.connections[0].timeout_seconds = 30;  // long ago
    CHECK(left(0.5));
    staged.list.connections[0].timeout_seconds = 119;
    staged.question.destination_port = std::uint16_t{81};
    CHECK(left(0.5));
  }
}
