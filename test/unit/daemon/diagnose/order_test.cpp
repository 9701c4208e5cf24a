#include "daemon/diagnose/order.h"

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
