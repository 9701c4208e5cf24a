// More sources than rows: who has one, and that each figure shown is whole.
#include "test/unit/collectors/conntrack/flows/crowd.h"

using namespace conntally;
using namespace conntally::test;
using namespace std::chrono_literals;

TEST_CASE("a source that holds much is named beside forged ones that have taken all rows, whole") {
  Crowd crowd(80);
  for (std::uint32_t forged = 1; forged <= 2000; ++forged) crowd.Open(forged);
  for (std::uint16_t number = 1; number <= 900; ++number) crowd.Open(9999, number);
  CHECK(crowd.Of(9999).connections == 0);
  CHECK(crowd.Coherent());
  crowd.Seconds(3);
  CHECK(crowd.Of(9999).connections == 900);
  CHECK(crowd.Of(9999).unreplied == 900);
  CHECK(crowd.Of(9999).destination_ports == 400);
  CHECK(crowd.Coherent());
  CHECK(crowd.Totals().ConnectionsSum() == 2900);
}

TEST_CASE("many that hold much displace those that hold little, past the rows that are kept for them") {
  Crowd crowd(80);
  for (std::uint32_t forged = 1; forged <= 2000; ++forged) crowd.Open(forged);
  for (std::uint32_t heavy = 5001; heavy <= 5040; ++heavy) {
    for (std::uint16_t number = 1; number <= 90; ++number) crowd.Open(heavy, number);
  }
  crowd.Seconds(20);
  for (std::uint32_t heavy = 5001; heavy <= 5040; ++heavy) CHECK(crowd.Of(heavy).connections == 90);
  CHECK(crowd.Coherent());
}

TEST_CASE("however long forged sources come and go, each real one is named within three looks, whole") {
  Crowd crowd(2000);
  std::uint32_t born = 100'000;
  std::uint32_t gone = born;
  const auto forge = [&] {
    while (born - gone < 1900) crowd.Open(born++);
    for (int i = 0; i < 700; ++i) {
      crowd.Open(born++);
      crowd.Destroy(Connection(gone++, 1), 1);
    }
  };
  for (std::uint32_t real = 1; real <= 40; ++real) {
    forge();
    for (std::uint16_t number = 1; number <= 20; ++number) crowd.Open(real, number);
    for (int look = 0; look < 3; ++look) {
      forge();
      crowd.Second();
    }
    REQUIRE(crowd.Of(real).connections == 20);
    REQUIRE(crowd.Coherent());
  }
  for (std::uint32_t real = 1; real <= 40; ++real) CHECK(crowd.Of(real).connections == 20);
}

TEST_CASE("a source that proves itself has a row at once, and displaces an unproven one and no proven one") {
  Crowd crowd(80);
  for (std::uint32_t proven = 1; proven <= 60; ++proven) crowd.Establish(proven);
  crowd.Second();
  for (std::uint32_t forged = 1001; forged <= 3000; ++forged) crowd.Open(forged);
  crowd.Seconds(2);
  for (std::uint32_t proven = 61; proven <= 70; ++proven) crowd.Establish(proven);
  crowd.Seconds(4);
  for (std::uint32_t proven = 1; proven <= 70; ++proven) CHECK(crowd.Of(proven).connections == 1);
  for (std::uint32_t proven = 1; proven <= 70; ++proven) CHECK(crowd.Of(proven).proof == Proof::kProven);
  CHECK(crowd.Coherent());
}

TEST_CASE("once the forged ones are gone every source has its row again") {
  Crowd crowd(80);
  for (std::uint32_t forged = 1001; forged <= 3000; ++forged) crowd.Open(forged);
  for (std::uint32_t real = 1; real <= 50; ++real) crowd.Open(real);
  for (std::uint32_t forged = 1001; forged <= 3000; ++forged) crowd.Destroy(Connection(forged, 1), 1);
  crowd.Seconds(8);
  for (std::uint32_t real = 1; real <= 50; ++real) CHECK(crowd.Of(real).connections == 1);
  CHECK(crowd.Totals().unattributed_connections == 0);
  CHECK(crowd.tracker.connections_without_source() == 0);
}

TEST_CASE("a source that gets a row by one connection is not shown before its others are counted there, too") {
  Crowd crowd(8);
  for (std::uint32_t forged = 1; forged <= 7; ++forged) crowd.Open(forged);
  crowd.Open(9, 1);
  crowd.Open(9, 2);
  crowd.Destroy(Connection(1, 1), 1);
  {
    Tally::View view = crowd.tally.Take(crowd.time);
    crowd.tally.Advance(view, crowd.time, 1s, 0s);
  }
  crowd.View();  // the row is free
  crowd.Open(9, 3);
  CHECK(crowd.Of(9).connections == 0);
  CHECK(crowd.Of(9).connections == 0);
  CHECK(crowd.Coherent());
  crowd.Attribute();
  crowd.View();
  CHECK(crowd.Of(9).connections == 3);
  CHECK(crowd.Coherent());
}

TEST_CASE("a crowd of idle strangers is forgotten in seconds, and who has proven itself is not") {
  Crowd crowd(2000);
  crowd.Establish(1);
  crowd.Destroy(Connection(1, 1, kTcp), 1);
  for (std::uint32_t forged = 1001; forged <= 1500; ++forged) {
    crowd.Open(forged);
    crowd.Destroy(Connection(forged, 1), 1);
  }
  crowd.Seconds(7);
  std::size_t known = 0;
  crowd.View().ForEachSource([&](SourceRow, const SourceFigures&) { ++known; });
  CHECK(known == 1);
  CHECK(crowd.Of(1).proof == Proof::kProven);
}

TEST_CASE("a few idle strangers are remembered as long as is configured") {
  Crowd crowd(2000);
  for (std::uint32_t source = 1; source <= 20; ++source) {
    crowd.Open(source);
    crowd.Destroy(Connection(source, 1), 1);
  }
  crowd.Seconds(60);
  CHECK(crowd.Of(20).opened == 1);
}
