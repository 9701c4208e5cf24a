// What the tracker does where there is no room, and how long it says that connections lasted.
#include <numeric>

#include "test/unit/collectors/conntrack/flows/tracked_tally.h"

using namespace conntally;
using namespace conntally::test;

namespace {

constexpr FlowStateIndex kUdpUnreplied = FlowStateIndex::Other(kUdp, false);
constexpr FlowStateIndex kUdpReplied = FlowStateIndex::Other(kUdp, true);
constexpr std::uint64_t kSecondNs = 1'000'000'000;

FlowKey Port(std::uint16_t port) { return Key("192.0.2.1", port); }

std::uint64_t DurationsSum(const TotalFigures& totals) {
  return std::accumulate(totals.durations.begin(), totals.durations.end(), std::uint64_t{0});
}

}  // namespace

TEST_CASE("connections beyond connections_max are in the totals and in no source") {
  TrackedTally t({.connections = 3});
  t.StartOnEmptyKernel();
  for (std::uint16_t port = 1; port <= 5; ++port) t.New(Port(port), port);
  CHECK(t.Totals().ConnectionsSum() == 5);
  CHECK(t.Totals().opened[kUdp] == 5);
  CHECK(t.Totals().unattributed_connections == 2);
  CHECK(t.Of("192.0.2.1").connections == 3);
  CHECK(t.tracker.flow_count() == 3);
  CHECK(t.tracker.connections_turned_away() == 2);
  for (std::uint16_t port = 1; port <= 5; ++port) t.Destroy(Port(port), port);
  CHECK(t.Totals().ConnectionsSum() == 0);
  CHECK(t.Totals().unattributed_connections == 0);
  CHECK(t.Totals().closed[kUdp] == 5);
}

TEST_CASE("a dump counts anew what has no room, by its state") {
  TrackedTally t({.connections = 2});
  t.tracker.BeginDump(DumpReason::kStart);
  for (std::uint16_t port = 1; port <= 5; ++port) t.Dumped(Port(port), port, port == 5 ? kReplied : kUnreplied);
  t.EndDumpAndSweep();
  CHECK(t.Count(kUdpUnreplied) == 4);
  CHECK(t.Count(kUdpReplied) == 1);
  CHECK(t.Totals().unattributed_connections == 3);
  CHECK(t.Totals().opened[kUdp] == 0);
  t.tracker.BeginDump(DumpReason::kInterval);
  for (std::uint16_t port = 1; port <= 3; ++port) t.Dumped(Port(port), port, kReplied);
  t.EndDumpAndSweep();
  CHECK(t.Count(kUdpUnreplied) == 0);
  CHECK(t.Count(kUdpReplied) == 3);
  CHECK(t.Totals().unattributed_connections == 1);
  CHECK(t.Coherent());
}

TEST_CASE("a connection that was turned away comes in with a later dump, once there is room, and is opened once") {
  TrackedTally t({.connections = 2});
  t.StartOnEmptyKernel();
  for (std::uint16_t port = 1; port <= 3; ++port) t.New(Port(port), port);
  t.Destroy(Port(1), 1);
  CHECK(t.Totals().ConnectionsSum() == 2);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(Port(2), 2);
  t.Dumped(Port(3), 3);
  t.EndDumpAndSweep();
  CHECK(t.Of("192.0.2.1").connections == 2);
  CHECK(t.Totals().unattributed_connections == 0);
  CHECK(t.Totals().opened[kUdp] == 3);
  CHECK(t.tracker.corrections().missed == 0);
}

TEST_CASE("updates of connections that were turned away do not count them again") {
  TrackedTally t({.connections = 1});
  t.StartOnEmptyKernel();
  t.New(Port(1), 1);
  t.New(Port(2), 2);
  t.Update(Port(2), 2, kReplied);
  CHECK(t.Totals().ConnectionsSum() == 2);
  CHECK(t.Totals().opened[kUdp] == 2);
  t.Destroy(Port(1), 1);
  t.Update(Port(2), 2, kReplied);  // now there is room
  CHECK(t.Totals().ConnectionsSum() == 1);
  CHECK(t.Totals().opened[kUdp] == 2);
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Totals().unattributed_connections == 0);
}

TEST_CASE("an update of an old connection that has no room before the first dump's end is not an opening") {
  TrackedTally t({.connections = 1});
  t.tracker.BeginDump(DumpReason::kStart);
  t.Dumped(Port(1), 1);
  t.Update(Port(2), 2, kReplied);
  t.Dumped(Port(2), 2, kReplied);
  t.EndDumpAndSweep();
  CHECK(t.Totals().ConnectionsSum() == 2);
  CHECK(t.Totals().opened[kUdp] == 0);
}

TEST_CASE("what only a dump counted, since there was no room, is gone when it ends") {
  TrackedTally t({.connections = 1});
  t.tracker.BeginDump(DumpReason::kStart);
  for (std::uint16_t port = 1; port <= 3; ++port) t.Dumped(Port(port), port);
  t.EndDumpAndSweep();
  CHECK(t.tracker.connections_turned_away() == 2);
  t.Destroy(Port(2), 2);
  t.Destroy(Port(3), 3);
  CHECK(t.Totals().ConnectionsSum() == 1);
  CHECK(t.Totals().unattributed_connections == 0);
  t.Destroy(Port(9), 9);  // nobody is left to whom it might belong
  CHECK(t.Totals().closed[kUdp] == 2);
}

TEST_CASE("a source whose connections have all ended, or were withdrawn, can be forgotten") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(Port(1), 1);
  t.Destroy(Port(1), 1);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(Port(2), 3);
  t.New(Port(2), 2);  // a former life than the dump has shown
  t.EndDumpAndSweep();
  t.Destroy(Port(2), 2);
  const auto sources = [&] {
    int count = 0;
    t.View().ForEachSource([&](SourceRow, const SourceFigures&) { ++count; });
    return count;
  };
  CHECK(sources() == 1);
  {
    Tally::View view = t.View();
    t.tally.Advance(view, Tally::Time{}, std::chrono::seconds(1), std::chrono::seconds(0));
  }
  CHECK(sources() == 0);
}

TEST_CASE("a source for which there is no row is counted in the totals, and says so") {
  TrackedTally t({.sources = 1});
  t.StartOnEmptyKernel();
  t.New(Key("192.0.2.1", 53), 1);
  t.New(Key("192.0.2.2", 53), 2);
  CHECK(t.Totals().ConnectionsSum() == 2);
  CHECK(t.Totals().unattributed_connections == 1);
  CHECK(t.tracker.sources_turned_away() == 1);
  CHECK(t.Coherent());
  t.Update(Key("192.0.2.2", 53), 2, kReplied);
  t.Destroy(Key("192.0.2.2", 53), 2);
  CHECK(t.Totals().ConnectionsSum() == 1);
  CHECK(t.Totals().unattributed_connections == 0);
  CHECK(t.Coherent());
}

TEST_CASE("a connection lasts from its NEW to its DESTROY by the tracker's clock") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.now.centiseconds = 1000;
  t.New(Port(1), 1);
  t.now.centiseconds = 1250;
  t.Destroy(Port(1), 1);
  CHECK(t.Totals().duration_sum_ms == 2500);
  CHECK(t.Totals().durations[2] == 1);  // 1 s < 2.5 s <= 5 s
}

TEST_CASE("the kernel's own timestamps are believed before the tracker's clock") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(Port(1), 1);
  t.now.centiseconds = 100;
  FlowEvent destroy = Event(EventKind::kDestroy, Port(1), 1);
  destroy.start_ns = 5 * kSecondNs;
  destroy.stop_ns = 12 * kSecondNs;
  t.Apply(destroy);
  CHECK(t.Totals().duration_sum_ms == 7000);
}

TEST_CASE("the age of an adopted connection comes from its timestamp, and without one it has no duration") {
  TrackedTally t;
  t.now = {1000, 100 * static_cast<std::int64_t>(kSecondNs)};
  t.tracker.BeginDump(DumpReason::kStart);
  FlowEvent entry = Event(EventKind::kUpdate, Port(1), 1);
  entry.start_ns = 60 * kSecondNs;  // 40 s ago, 30 s before the tracker began to count
  t.Dumped(entry);
  t.Dumped(Port(2), 2);
  t.EndDumpAndSweep();
  t.now.centiseconds += 500;
  t.Destroy(Port(1), 1);
  t.Destroy(Port(2), 2);
  CHECK(t.Totals().duration_sum_ms == 45'000);
  CHECK(DurationsSum(t.Totals()) == 1);
}

TEST_CASE("a connection that was swept out has no duration") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(Port(1), 1);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.EndDumpAndSweep();
  CHECK(DurationsSum(t.Totals()) == 0);
}

TEST_CASE("a clock that was set back makes no duration negative, nor the sum of them fall") {
  TrackedTally t;
  t.now = {1000, 100 * static_cast<std::int64_t>(kSecondNs)};
  t.tracker.BeginDump(DumpReason::kStart);
  FlowEvent entry = Event(EventKind::kUpdate, Port(1), 1);
  const std::uint64_t start_ns = GENERATE(160 * kSecondNs, 100'000'000 * kSecondNs, UINT64_MAX, std::uint64_t{1} << 63);
  entry.start_ns = start_ns;
  t.Dumped(entry);
  t.EndDumpAndSweep();
  t.Destroy(Port(1), 1);
  CHECK(t.Totals().duration_sum_ms <= 1000);
  CHECK(DurationsSum(t.Totals()) == 1);
}

// A clock that stood at 1970 when the entry was made, as on a machine without one of its own before NTP.
TEST_CASE("an entry of an impossible age has the longest that the tracker can tell") {
  TrackedTally t;
  t.now = {1000, 1'800'000'000 * static_cast<std::int64_t>(kSecondNs)};
  t.tracker.BeginDump(DumpReason::kStart);
  FlowEvent entry = Event(EventKind::kUpdate, Port(1), 1);
  entry.start_ns = 1;
  t.Dumped(entry);
  t.EndDumpAndSweep();
  t.Destroy(Port(1), 1);
  CHECK(t.Totals().durations.back() == 1);
}

TEST_CASE("the tracker's clock may wrap, every 497 days, in the middle of a connection") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.now.centiseconds = INT32_MAX - 99;
  t.New(Port(1), 1);
  t.now.centiseconds = INT32_MIN + 100;
  t.Destroy(Port(1), 1);
  CHECK(t.Totals().duration_sum_ms == 2000);
}
