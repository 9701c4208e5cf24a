// Ports of translated addresses that run out, and what else the kernel counts when they do.
#include <netinet/in.h>

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/judged_host.h"

using namespace conntally;
using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

namespace {

constexpr const char* kUse = "203.0.113.1 to 198.51.100.7:443 (tcp)";

// As a look at the table finds it, which begins now.
void Look(Host& host, std::uint32_t used, std::uint32_t closed = 0, std::uint32_t available = 100) {
  PortUse use;
  use.nat_address = *IpAddress::Parse("203.0.113.1");
  use.destination = {*IpAddress::Parse("198.51.100.7"), 443, IPPROTO_TCP};
  use.ports = {5000, 5000 + available - 1};
  use.used = used;
  use.closed = closed;
  use.holders = {{*IpAddress::Parse("10.0.0.2"), used - used / 4}, {*IpAddress::Parse("10.0.0.3"), used / 4}};
  use.sources = 2;
  auto figures = std::make_shared<NatFigures>();
  figures->uses = {use};
  figures->began = host.evidence.now;
  host.evidence.nat = std::move(figures);
}

void Fail(Host& host, std::uint64_t packets) {
  host.Counter(TableCounter::kInsertFailed) += packets;
  host.Counter(TableCounter::kDrop) += packets;
}

}  // namespace

TEST_CASE("ports that run out are told before, with who holds them") {
  Host host;
  Look(host, 79);
  host.Run(60s);
  CHECK(host.Firing().empty());
  Look(host, 80);
  host.Run(25s);
  CHECK(host.Firing().empty());
  host.Run(10s);
  CHECK(host.Firing() == Strings{"NatPortsNearlyExhausted warning "});
  const AlertReading* reading = host.Find(AlertKind::kNatPortsNearlyExhausted, "", kUse);
  REQUIRE(reading != nullptr);
  CHECK(reading->description.find("80 of the 100 ports from 5000 to 5099") != std::string::npos);
  CHECK(reading->description.find("10.0.0.2 (60), 10.0.0.3 (20)") != std::string::npos);
  Look(host, 95);
  host.Run(35s);
  CHECK(host.Firing() == Strings{"NatPortsNearlyExhausted critical "});
  Look(host, 10);
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a rule that names one port alarms nobody by its one connection") {
  Host host;
  Look(host, 1, 0, 1);
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("ports that the kernel takes again alarm nobody") {
  Host host;
  Look(host, 100, 60);
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("connections that find no port are no clashes and no full table") {
  Host host;
  Look(host, 100);
  for (int i = 0; i < 100; ++i) {
    Fail(host, 3);
    host.Run(1s);
    if (i % 3 == 0) Look(host, 100);
  }
  CHECK(host.Firing() == Strings{"NatPortsNearlyExhausted critical "});
}

TEST_CASE("the last connections that found no port are no clashes, when the next look finds ports again") {
  Host host;
  Look(host, 100);
  host.Run(10s);
  Fail(host, 30);
  host.Run(1s);
  Look(host, 0);
  for (int second = 0; second < 60; ++second) {
    host.Run(1s);
    CHECK(host.Firing().empty());
  }
  Fail(host, 30);
  host.Run(1s);
  Look(host, 0);
  host.Run(10s);
  CHECK(host.Firing() == Strings{"ConntrackInsertFailed warning "});
}

TEST_CASE("failed insertions are clashes where ports are left, or nobody looks at ports") {
  Host host;
  const bool looks = GENERATE(true, false);
  if (looks) Look(host, 10);
  for (int i = 0; i < 30; ++i) {
    Fail(host, 3);
    host.Run(1s);
    if (looks) Look(host, 10);
  }
  CHECK(host.Firing() == Strings{"ConntrackInsertFailed warning "});
}

TEST_CASE("clashes are told until 45 s after them, however late it is known that they were some") {
  Host host;
  Look(host, 10);
  for (int i = 0; i < 20; ++i) {
    Fail(host, 3);
    host.Run(1s);
  }
  host.Run(32s);
  CHECK(host.Firing() == Strings{"ConntrackInsertFailed warning "});
  host.Run(25s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a full table is told beside ports that ran out") {
  Host host;
  Look(host, 100);
  host.Run(35s);
  Fail(host, 50);
  host.Counter(TableCounter::kDrop) += 1;
  host.Run(1s);
  CHECK(host.Firing() == Strings{"ConntrackTableFull critical ", "NatPortsNearlyExhausted critical "});
}
