// More sources than rows: who has one, and that each figure shown is whole. Beside a naive tally, and under TSan.
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "test/unit/collectors/conntrack/tracked_tally.h"

using namespace conntally;
using namespace conntally::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kAssured = kReplied | IPS_ASSURED;

FlowKey Connection(std::uint32_t source, std::uint16_t number, std::uint8_t protocol = kUdp) {
  FlowKey key;
  for (unsigned i = 0; i < 4; ++i) key.source[i] = static_cast<std::uint8_t>(source >> (24 - 8 * i));
  key.source_port = number;
  key.destination_port = static_cast<std::uint16_t>(number % 400);
  key.protocol = protocol;
  return key;
}

struct Crowd : TrackedTally {
  explicit Crowd(std::uint32_t rows) : TrackedTally(Limits{.sources = rows, .connections = 100'000}) {
    StartOnEmptyKernel();
  }
  void Open(std::uint32_t source, std::uint16_t number = 1) { New(Connection(source, number), 1); }
  void Establish(std::uint32_t source, std::uint16_t number = 1) {
    const FlowKey key = Connection(source, number, kTcp);
    Apply(Event(EventKind::kNew, key, 1, kUnreplied, TcpState::kSynSent));
    Update(key, 1, kReplied, TcpState::kSynRecv);
    Update(key, 1, kAssured, TcpState::kEstablished);
  }
  // Until every walk that is due has ended.
  void Attribute() {
    now.centiseconds += 200;
    TallyWriter::Batch batch(writer);
    while (tracker.AttributeStep(batch, now)) continue;
  }
  void Second() {
    Attribute();
    wall += 1s;
    Tally::View view = tally.Take(wall);
    tally.Advance(view, wall, 1s, 10min);
  }
  void Seconds(int count) {
    for (int i = 0; i < count; ++i) Second();
    View();
  }
  SourceFigures Of(std::uint32_t source) {
    SourceFigures found;
    const FlowKey key = Connection(source, 0);
    View().ForEachSource([&](SourceRow, const SourceFigures& figures) {
      if (figures.source == key.SourceAddress()) found = figures;
    });
    return found;
  }
  WallSeconds wall{1'700'000'000s};
};

}  // namespace

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
    Tally::View view = crowd.tally.Take(crowd.wall);
    crowd.tally.Advance(view, crowd.wall, 1s, 0s);
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

namespace {

// What the tallies should say, kept as plainly as can be.
struct Naive {
  struct Connection {
    bool replied = false;
    bool established = false;
  };
  std::map<FlowKey, Connection> connections;

  // Whether each source that the view shows has all its connections there, and no view misses one.
  bool Agrees(const Tally::View& view) const {
    std::map<IpAddress, SourceFigures> expected;
    std::map<IpAddress, std::set<std::uint16_t>> ports;
    for (const auto& [key, connection] : connections) {
      SourceFigures& figures = expected[key.SourceAddress()];
      ++figures.connections;
      if (!connection.replied) ++figures.unreplied;
      ports[key.SourceAddress()].insert(key.destination_port);
    }
    bool agrees = true;
    std::int64_t sum = view.totals().unattributed_connections;
    view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
      sum += figures.connections;
      agrees = agrees && figures.connections == expected[figures.source].connections &&
               figures.unreplied == expected[figures.source].unreplied &&
               figures.destination_ports == static_cast<std::int64_t>(ports[figures.source].size());
    });
    return agrees && sum == static_cast<std::int64_t>(connections.size()) && sum == view.totals().ConnectionsSum();
  }
};

// One random change, told to both.
void Change(Crowd& crowd, Naive& naive, std::mt19937& random) {
  // A few sources hold most.
  const auto source = static_cast<std::uint32_t>(random() % 3 == 0 ? random() % 8 : random() % 300);
  const std::uint8_t protocol = random() % 2 == 0 ? kTcp : kUdp;
  const FlowKey key = Connection(source, static_cast<std::uint16_t>(random() % 12), protocol);
  const auto found = naive.connections.find(key);
  if (found == naive.connections.end()) {
    crowd.Apply(Event(EventKind::kNew, key, 1, kUnreplied, protocol == kTcp ? TcpState::kSynSent : TcpState::kNone));
    naive.connections[key] = {};
  } else if (!found->second.replied && random() % 2 == 0) {
    found->second.replied = true;
    crowd.Update(key, 1, kAssured, TcpState::kEstablished);
  } else {
    crowd.Destroy(key, 1);
    naive.connections.erase(found);
  }
}

}  // namespace

TEST_CASE("every source that is shown is whole at every moment, as a naive tally counts it") {
  for (unsigned seed = 0; seed < 8; ++seed) {
    std::mt19937 random(seed);
    Crowd crowd(16 + seed * 8);
    Naive naive;
    for (int i = 0; i < 6000; ++i) {
      Change(crowd, naive, random);
      if (random() % 40 == 0) {
        TallyWriter::Batch batch(crowd.writer);
        crowd.now.centiseconds += static_cast<std::int32_t>(random() % 40);
        for (auto steps = random() % 100; steps > 0; --steps) crowd.tracker.AttributeStep(batch, crowd.now);
      }
      if (random() % 30 == 0) REQUIRE(naive.Agrees(crowd.View()));
      if (random() % 60 == 0) {
        crowd.wall += 1s;
        Tally::View view = crowd.tally.Take(crowd.wall);
        crowd.tally.Advance(view, crowd.wall, 1s, 3s);
        REQUIRE(naive.Agrees(view));
      }
    }
    while (!naive.connections.empty()) {
      crowd.Destroy(naive.connections.begin()->first, 1);
      naive.connections.erase(naive.connections.begin());
    }
    crowd.Seconds(3);
    REQUIRE(naive.Agrees(crowd.View()));
    REQUIRE(crowd.Totals().unattributed_connections == 0);
    REQUIRE(crowd.tracker.connections_without_source() == 0);
  }
}

// Run under TSan: rows gather, leave and are used again while readers look.
TEST_CASE("views are coherent while rows change hands under them") {
  Crowd crowd(24);
  std::atomic<bool> done = false;
  std::atomic<int> incoherent = 0;
  std::atomic<int> partial = 0;
  // Sources 1000 .. 1007 hold six connections each from the start to the end: shown is shown whole.
  for (std::uint32_t source = 1000; source < 1008; ++source) {
    for (std::uint16_t number = 1; number <= 6; ++number) crowd.Open(source, number);
  }
  const auto read = [&](bool advances) {
    WallSeconds wall{1'700'000'000s};
    while (!done.load()) {
      Tally::View view = crowd.tally.Take(wall);
      std::int64_t sum = view.totals().unattributed_connections;
      view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
        sum += figures.connections;
        const bool held = figures.source.bytes[2] == 1000 >> 8 && figures.source.bytes[3] >= (1000 & 0xFF);
        if (held && figures.connections != 6) partial.fetch_add(1);
      });
      if (sum != view.totals().ConnectionsSum()) incoherent.fetch_add(1);
      wall += 1s;
      if (advances) crowd.tally.Advance(view, wall, 1s, 3s);
    }
  };
  std::thread advancing(read, true);
  std::thread reading(read, false);
  Naive naive;
  std::mt19937 random(7);
  for (int i = 0; i < 15'000; ++i) {
    Change(crowd, naive, random);
    if (i % 8 != 0) continue;
    TallyWriter::Batch batch(crowd.writer);
    crowd.now.centiseconds += 10;
    for (int steps = 0; steps < 40; ++steps) crowd.tracker.AttributeStep(batch, crowd.now);
  }
  done = true;
  advancing.join();
  reading.join();
  CHECK(incoherent == 0);
  CHECK(partial == 0);
}
