#include "daemon/alerts/judges/judge_scans.h"

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/judged_host.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

AlertEvidence::Failing& Failing(Host& host, const std::string& name, std::uint32_t failed, std::uint32_t succeeded) {
  AlertEvidence::Failing failing;
  failing.name = name;
  failing.contacts = {*IpAddress::Parse(name), failed, failed, succeeded, 3, failed};
  failing.figures.source = *IpAddress::Parse(name);
  host.evidence.failing_sources.push_back(failing);
  return host.evidence.failing_sources.back();
}

}  // namespace

TEST_CASE("a stranger that scans is a fact, and a warning past the critical threshold") {
  Host host;
  SECTION("a fact") {
    Failing(host, "198.51.100.9", 300, 2);
    host.Run(35s);
    CHECK(host.Firing() == Strings{"SourceScanning info 198.51.100.9"});
  }
  SECTION("a warning") {
    Failing(host, "198.51.100.9", 1200, 2);
    host.Run(35s);
    CHECK(host.Firing() == Strings{"SourceScanning warning 198.51.100.9"});
  }
}

TEST_CASE("one of ours that scans is a warning, and critical") {
  Host host;
  auto& failing = Failing(host, "10.0.1.7", 760, 13);
  SECTION("a regular") { failing.figures.regular_minutes = 3; }
  SECTION("a proven source with a private address") { failing.figures.proof = Proof::kProven; }
  host.Run(35s);
  CHECK(host.Firing() == Strings{"SourceScanning warning 10.0.1.7"});
  host.evidence.failing_sources[0].contacts.failed = 1500;
  host.Run(35s);
  CHECK(host.Firing() == Strings{"SourceScanning critical 10.0.1.7"});
}

TEST_CASE("a scan whose packets are dropped is one by its ports") {
  Host host;
  for (std::uint64_t packets = 400; packets < 1100; packets += 20) {
    SourceDrops& drops = host.Dropped("198.51.100.9", "policy drop", 22, packets);
    drops.distinct_ports = 350;
    drops.rate = 20;
    host.Run(1s);
  }
  REQUIRE(host.Find(AlertKind::kSourceScanning, "198.51.100.9") != nullptr);
  CHECK(host.Find(AlertKind::kSourceScanning, "198.51.100.9")->value == Approx(350));
  SECTION("of which fewer are left") { host.evidence.dropped[0].drops.distinct_ports = 3; }
  SECTION("of which the last was dropped a while ago") {
    host.evidence.dropped[0].drops.last_dropped = host.evidence.now - 40s;
  }
  host.Run(10s);
  CHECK(host.Find(AlertKind::kSourceScanning, "198.51.100.9") == nullptr);
}

TEST_CASE(
    "one of ours that sweeps for a service behind a rule scans by its destinations, unless it also gets through") {
  Host host;
  const auto [minutes, new_rate] =
      GENERATE(std::pair<int, double>(4, 0.1), std::pair<int, double>(4, 1.5), std::pair<int, double>(0, 0.1));
  for (std::uint64_t packets = 400; packets < 800; packets += 10) {
    SourceDrops& drops = host.Dropped("10.0.1.9", "reject", 445, packets);
    drops.distinct_ports = 1;
    drops.distinct_pairs = 240;
    host.evidence.dropped[0].figures.regular_minutes = static_cast<std::uint8_t>(minutes);
    host.evidence.dropped[0].figures.new_rate = new_rate;
    host.Run(1s);
  }
  const auto firing = host.Firing();
  const bool told = std::find(firing.begin(), firing.end(), "SourceScanning warning 10.0.1.9") != firing.end();
  CHECK(told == (minutes > 0 && new_rate < 1));
}

TEST_CASE("whoever is answered every fifth time is no scanner: peers, probers, crawlers") {
  Host host;
  Failing(host, "192.0.2.7", 800, 200).figures.regular_minutes = 15;
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("the host itself never scans") {
  Host host;
  Failing(host, "192.0.2.1", 5000, 0).own = true;
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a scan for one service is told beside much that its source does rightly") {
  Host host;
  auto& failing = Failing(host, "192.0.2.7", 240, 120);
  failing.figures.regular_minutes = 15;
  failing.contacts.port = 22;
  failing.contacts.failed_at_port = 240;
  failing.contacts.succeeded_at_port = GENERATE(0U, 10U);
  host.Run(60s);
  const bool scans = failing.contacts.succeeded_at_port == 0;
  CHECK(host.Firing() == (scans ? Strings{"SourceScanning warning 192.0.2.7"} : Strings{}));
  if (scans)
    CHECK(host.Find(AlertKind::kSourceScanning, "192.0.2.7")->description.find("at TCP port 22") != std::string::npos);
}

TEST_CASE("the walk rises with what fails, and falls faster with what succeeds") {
  CHECK(ScanJudge::Walk(20, 0) > std::log(ScanJudge::kOneWrong));
  CHECK(ScanJudge::Walk(100, 25) < 0);
  CHECK(ScanJudge::Walk(100, 5) > std::log(ScanJudge::kOneWrong));
}

TEST_CASE("a scan that makes no contact any more is over") {
  Host host;
  Failing(host, "198.51.100.9", 1200, 2);
  host.Run(35s);
  CHECK(host.Firing() == Strings{"SourceScanning warning 198.51.100.9"});
  host.evidence.failing_sources[0].contacts.recent = 60;
  host.Run(7s);
  CHECK(host.Firing().empty());
}
