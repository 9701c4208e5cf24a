// Rows changing hands beside a naive tally, and under TSan.
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "test/unit/collectors/conntrack/flows/crowd.h"

using namespace conntally;
using namespace conntally::test;
using namespace std::chrono_literals;

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
        crowd.time += 1s;
        Tally::View view = crowd.tally.Take(crowd.time);
        crowd.tally.Advance(view, crowd.time, 1s, 3s);
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
    Tally::Time time{1'700'000'000s};
    while (!done.load()) {
      Tally::View view = crowd.tally.Take(time);
      std::int64_t sum = view.totals().unattributed_connections;
      view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
        sum += figures.connections;
        const bool held = figures.source.bytes[2] == 1000 >> 8 && figures.source.bytes[3] >= (1000 & 0xFF);
        if (held && figures.connections != 6) partial.fetch_add(1);
      });
      if (sum != view.totals().ConnectionsSum()) incoherent.fetch_add(1);
      time += 1s;
      if (advances) crowd.tally.Advance(view, time, 1s, 3s);
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
