#include "collectors/conntrack/flows/flow_tracker.h"

#include "test/unit/collectors/conntrack/flows/tracked_tally.h"

using namespace conntally;
using namespace conntally::test;

namespace {

const FlowKey kFlow = Key("192.0.2.1", 53);
constexpr FlowStateIndex kUdpUnreplied = FlowStateIndex::Other(kUdp, false);
constexpr FlowStateIndex kUdpReplied = FlowStateIndex::Other(kUdp, true);

}  // namespace

TEST_CASE("a connection is counted from its opening to its end") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").unreplied == 1);
  CHECK(t.Of("192.0.2.1").destination_ports == 1);
  CHECK(t.Count(kUdpUnreplied) == 1);
  t.Destroy(kFlow, 1);
  const SourceFigures after = t.Of("192.0.2.1");
  CHECK(after.connections == 0);
  CHECK(after.unreplied == 0);
  CHECK(after.destination_ports == 0);
  CHECK(after.opened == 1);
  CHECK(after.closed == 1);
  CHECK(t.Totals().opened[kUdp] == 1);
  CHECK(t.Totals().closed[kUdp] == 1);
  CHECK(t.Totals().ConnectionsSum() == 0);
}

TEST_CASE("a connection seen twice is counted once") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.New(kFlow, 1);
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").opened == 1);
  t.Destroy(kFlow, 1);
  t.Destroy(kFlow, 1);
  CHECK(t.Of("192.0.2.1").connections == 0);
  CHECK(t.Of("192.0.2.1").closed == 1);
}

TEST_CASE("the end of an unknown connection is nothing") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.Destroy(kFlow, 1);
  CHECK(t.Totals().ConnectionsSum() == 0);
  CHECK(t.Totals().closed[kUdp] == 0);
}

TEST_CASE("a reply moves a connection from unreplied to replied") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.Update(kFlow, 1, kReplied);
  t.Update(kFlow, 1, kReplied);
  CHECK(t.Of("192.0.2.1").unreplied == 0);
  CHECK(t.Count(kUdpUnreplied) == 0);
  CHECK(t.Count(kUdpReplied) == 1);
  t.Destroy(kFlow, 1);
  CHECK(t.Of("192.0.2.1").unreplied == 0);
  CHECK(t.Count(kUdpReplied) == 0);
}

TEST_CASE("a TCP connection is counted under its present state, and keeps it when an update tells none") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  const FlowKey flow = Key("192.0.2.1", 443, kTcp);
  t.Apply(Event(EventKind::kNew, flow, 1, kUnreplied, TcpState::kSynSent));
  CHECK(t.Count(FlowStateIndex::Tcp(1)) == 1);
  t.Update(flow, 1, kReplied, TcpState::kEstablished);
  t.Update(flow, 1, kReplied);  // as for a changed mark
  CHECK(t.Count(FlowStateIndex::Tcp(1)) == 0);
  CHECK(t.Count(FlowStateIndex::Tcp(3)) == 1);
  t.Destroy(flow, 1);
  CHECK(t.Totals().ConnectionsSum() == 0);
}

TEST_CASE("ports are counted distinct, and only of protocols that have them") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  FlowKey second = kFlow;
  second.source_port = 2000;
  t.New(kFlow, 1);
  t.New(second, 2);
  t.New(Key("192.0.2.1", 54), 3);
  t.New(Key("192.0.2.1", 8 << 8, 1), 4);  // ICMP echo
  t.New(Key("192.0.2.1", 7, 47), 5);      // GRE
  CHECK(t.Of("192.0.2.1").connections == 5);
  CHECK(t.Of("192.0.2.1").destination_ports == 2);
  t.Destroy(kFlow, 1);
  CHECK(t.Of("192.0.2.1").destination_ports == 2);
  t.Destroy(second, 2);
  CHECK(t.Of("192.0.2.1").destination_ports == 1);
}

TEST_CASE("an update of a connection whose opening was lost brings it in as opened") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.Update(kFlow, 1, kReplied);
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").opened == 1);
  t.New(kFlow, 1);
  CHECK(t.Of("192.0.2.1").opened == 1);
}

TEST_CASE("a connection that opens where another's end was lost takes its place") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.Update(kFlow, 1, kReplied);
  t.New(kFlow, 2);
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").unreplied == 1);
  CHECK(t.Of("192.0.2.1").opened == 2);
  CHECK(t.Of("192.0.2.1").closed == 1);
  t.Destroy(kFlow, 1);  // told late, or twice
  t.Update(kFlow, 1, kReplied);
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").unreplied == 1);
  t.Destroy(kFlow, 2);
  CHECK(t.Of("192.0.2.1").connections == 0);
}

TEST_CASE("an id that is not told matches any") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 0);
  t.Update(kFlow, 7, kReplied);
  CHECK(t.Count(kUdpReplied) == 1);
  t.Destroy(kFlow, 8);
  CHECK(t.Totals().ConnectionsSum() == 0);
  t.New(kFlow, 9);
  t.Destroy(kFlow, 0);
  CHECK(t.Totals().ConnectionsSum() == 0);
}

TEST_CASE("what the first dump shows is there, but did not open under the tracker's eyes") {
  TrackedTally t;
  t.tracker.BeginDump(DumpReason::kStart);
  t.Dumped(kFlow, 1, kReplied);
  CHECK(t.Of("192.0.2.1").connections == 1);  // at once, not only at the dump's end
  t.EndDumpAndSweep();
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").unreplied == 0);
  CHECK(t.Of("192.0.2.1").opened == 0);
  CHECK(t.Totals().opened[kUdp] == 0);
  CHECK(t.tracker.corrections().missed == 0);
  t.Destroy(kFlow, 1);
  CHECK(t.Of("192.0.2.1").closed == 1);
}

TEST_CASE("a connection older than the daemon that is updated before the first dump has ended was not opened either") {
  TrackedTally t;
  SECTION("before the dump begins") {
    t.Update(kFlow, 1, kReplied);
    t.tracker.BeginDump(DumpReason::kStart);
    t.Dumped(kFlow, 1, kReplied);
  }
  SECTION("while it runs, before it is shown") {
    t.tracker.BeginDump(DumpReason::kStart);
    t.Update(kFlow, 1, kReplied);
    t.Dumped(kFlow, 1, kReplied);
  }
  SECTION("after a dump that was given up") {
    t.tracker.BeginDump(DumpReason::kStart);
    t.tracker.CancelDump();
    t.Update(kFlow, 1, kReplied);
    t.tracker.BeginDump(DumpReason::kStart);
    t.Dumped(kFlow, 1, kReplied);
  }
  t.EndDumpAndSweep();
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").opened == 0);
}

TEST_CASE("a connection that the dump showed before its opening was applied is opened once") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 1, kReplied);
  CHECK(t.Of("192.0.2.1").opened == 0);
  t.New(kFlow, 1);
  CHECK(t.Of("192.0.2.1").opened == 1);
  t.Update(kFlow, 1, kReplied);
  t.EndDumpAndSweep();
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").opened == 1);
  CHECK(t.tracker.corrections().missed == 0);
}

TEST_CASE("a dumped entry does not put back the state that a later event told") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Update(kFlow, 1, kReplied);
  t.Dumped(kFlow, 1, kUnreplied);
  CHECK(t.Of("192.0.2.1").unreplied == 0);
}

TEST_CASE("a dumped entry sets right the state of a connection that no event touched since the dump began") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 1, kReplied);
  CHECK(t.Of("192.0.2.1").unreplied == 0);
  CHECK(t.Count(kUdpReplied) == 1);
}

TEST_CASE("an update that tells no TCP state leaves it to the dump to tell") {
  TrackedTally t;
  const FlowKey flow = Key("192.0.2.1", 443, kTcp);
  t.tracker.BeginDump(DumpReason::kStart);
  t.Update(flow, 1, kReplied);  // as for a changed mark
  t.Dumped(flow, 1, kUnreplied, TcpState::kEstablished);
  t.EndDumpAndSweep();
  CHECK(t.Count(FlowStateIndex::Tcp(3)) == 1);
  CHECK(t.Of("192.0.2.1").unreplied == 0);  // the update's word
}

TEST_CASE("what was destroyed during the dump is not brought back by it") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Destroy(kFlow, 1);
  t.Dumped(kFlow, 1);
  CHECK(t.Totals().ConnectionsSum() == 0);
  t.New(kFlow, 2);
  t.Dumped(kFlow, 1);
  t.EndDumpAndSweep();
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").opened == 2);
  CHECK(t.tracker.corrections().missed == 0);
  CHECK(t.tracker.corrections().stale == 0);
}

TEST_CASE("what was destroyed is remembered for the pieces of a dump that may show it, and no longer") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.tracker.BeginDump(DumpReason::kInterval);
  t.New(kFlow, 1);
  t.Destroy(kFlow, 1);
  const std::size_t remembered = t.tracker.memory_bytes();
  for (int piece = 0; piece < 2; ++piece) {
    t.now.centiseconds += 300;
    t.tracker.BeginPiece(t.now);
    t.Dumped(kFlow, 1);
    CHECK(t.Totals().ConnectionsSum() == 0);
  }
  SECTION("while pieces come fast, for two seconds") {
    for (int piece = 0; piece < 10; ++piece) {
      t.tracker.BeginPiece(t.now);
      t.Dumped(kFlow, 1);
      CHECK(t.Totals().ConnectionsSum() == 0);
    }
  }
  for (int piece = 0; piece < 6; ++piece) {
    t.now.centiseconds += 300;
    t.tracker.BeginPiece(t.now);
  }
  CHECK(t.tracker.memory_bytes() < remembered);
  t.EndDumpAndSweep();
}

TEST_CASE("an entry dumped twice is counted once") {
  TrackedTally t;
  t.tracker.BeginDump(DumpReason::kStart);
  t.Dumped(kFlow, 1);
  t.Dumped(kFlow, 1);
  t.EndDumpAndSweep();
  CHECK(t.Of("192.0.2.1").connections == 1);
}

TEST_CASE("a connection that only the dump knows of was missed, and counts as opened") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 1);
  SECTION("when it lives to the dump's end") {
    t.EndDumpAndSweep();
    CHECK(t.Of("192.0.2.1").connections == 1);
  }
  SECTION("when it ends before") {
    t.Destroy(kFlow, 1);
    t.EndDumpAndSweep();
    CHECK(t.Of("192.0.2.1").connections == 0);
    CHECK(t.Of("192.0.2.1").closed == 1);
  }
  CHECK(t.tracker.corrections().missed == 1);
  CHECK(t.Of("192.0.2.1").opened == 1);
}

TEST_CASE("a connection that neither dump nor event showed is stale, and is swept out") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.New(Key("192.0.2.2", 53), 2);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(Key("192.0.2.2", 53), 2);
  t.New(Key("192.0.2.3", 53), 3);
  t.EndDump();
  CHECK(t.Of("192.0.2.1").connections == 1);  // until the sweep
  t.SweepAll();
  CHECK(t.Of("192.0.2.1").connections == 0);
  CHECK(t.Of("192.0.2.1").closed == 1);
  CHECK(t.Of("192.0.2.1").destination_ports == 0);
  CHECK(t.Of("192.0.2.2").connections == 1);
  CHECK(t.Of("192.0.2.3").connections == 1);
  CHECK(t.tracker.corrections().stale == 1);
}

TEST_CASE("a connection opened while the sweep is under way is not swept") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.tracker.BeginDump(DumpReason::kInterval);
  t.EndDump();
  for (std::uint16_t port = 1; port <= 300; ++port) t.New(Key("192.0.2.1", port), port);
  t.SweepAll();
  CHECK(t.Of("192.0.2.1").connections == 300);
  CHECK(t.tracker.corrections().stale == 0);
}

TEST_CASE("another life of the tuple than the known one takes its place when the dump shows it") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 2, kReplied);
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").unreplied == 0);
  SECTION("whose events were still to come") {
    t.Destroy(kFlow, 1);
    t.New(kFlow, 2);
    t.Update(kFlow, 2, kReplied);
    t.EndDumpAndSweep();
    CHECK(t.tracker.corrections().missed == 0);
  }
  SECTION("whose events were lost") {
    t.EndDumpAndSweep();
    CHECK(t.tracker.corrections().missed == 1);
  }
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").opened == 2);
  CHECK(t.Of("192.0.2.1").closed == 1);
}

TEST_CASE("a dump may run ahead of the events by several lives of a tuple") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 2);
  t.New(kFlow, 1);
  t.Destroy(kFlow, 1);
  t.New(kFlow, 2);
  t.EndDumpAndSweep();
  CHECK(t.Of("192.0.2.1").connections == 1);
  CHECK(t.Of("192.0.2.1").opened == 2);
  CHECK(t.Of("192.0.2.1").closed == 1);
  CHECK(t.tracker.corrections().missed == 0);
  CHECK(t.tracker.corrections().stale == 0);
}

TEST_CASE("a dump begun again trusts nothing that the one given up showed") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.New(Key("192.0.2.2", 53), 2);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 1);
  const bool cancelled = GENERATE(true, false);
  if (cancelled) t.tracker.CancelDump();
  // Here the end of both is lost.
  t.tracker.BeginDump(DumpReason::kOverrun);
  t.EndDumpAndSweep();
  CHECK(t.Totals().ConnectionsSum() == 0);
  CHECK(t.tracker.corrections().stale == 2);
}

TEST_CASE("what lives through a dump given up and the next one is neither missed nor stale") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  t.New(kFlow, 1);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 1);
  t.Dumped(Key("192.0.2.2", 53), 2);
  t.tracker.CancelDump();
  t.tracker.BeginDump(DumpReason::kInterval);
  t.Dumped(kFlow, 1);
  t.New(Key("192.0.2.2", 53), 2);
  t.EndDumpAndSweep();
  CHECK(t.Totals().ConnectionsSum() == 2);
  CHECK(t.Of("192.0.2.2").opened == 1);
  CHECK(t.tracker.corrections().missed == 0);
  CHECK(t.tracker.corrections().stale == 0);
}

TEST_CASE("sources are grouped by prefix, each family by its own") {
  TrackedTally t({.grouping = {24, 64}});
  t.StartOnEmptyKernel();
  t.New(Key("192.0.2.1", 53), 1);
  t.New(Key("192.0.2.200", 54), 2);
  t.New(Key("192.0.3.1", 53), 3);
  t.New(Key("2001:db8::1", 53), 4);
  t.New(Key("2001:db8:0:0:ffff::2", 53), 5);
  CHECK(t.Of("192.0.2.0").connections == 2);
  CHECK(t.Of("192.0.2.0").destination_ports == 2);
  CHECK(t.Of("192.0.3.0").connections == 1);
  CHECK(t.Of("2001:db8::").connections == 2);
  CHECK(t.Of("2001:db8::").destination_ports == 1);
  t.Destroy(Key("192.0.2.200", 54), 2);
  CHECK(t.Of("192.0.2.0").connections == 1);
}

TEST_CASE("one tuple in two zones is two connections") {
  TrackedTally t;
  t.StartOnEmptyKernel();
  FlowKey zoned = kFlow;
  zoned.zone = 7;
  t.New(kFlow, 1);
  t.New(zoned, 2);
  CHECK(t.Of("192.0.2.1").connections == 2);
  t.Destroy(zoned, 2);
  CHECK(t.Of("192.0.2.1").connections == 1);
}
