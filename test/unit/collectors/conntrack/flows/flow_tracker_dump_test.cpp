// What dumps of the kernel's table change, beside events and after them.
#include "test/unit/collectors/conntrack/flows/tracked_tally.h"

using namespace conntally;
using namespace conntally::test;

namespace {

const FlowKey kFlow = Key("192.0.2.1", 53);
constexpr FlowStateIndex kUdpReplied = FlowStateIndex::Other(kUdp, true);

}  // namespace

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

TEST_CASE(
    "a tuple that opens again during a dump is counted by it, where there is room for it and where there is none") {
  const std::size_t room = GENERATE(1U, 2U);
  TrackedTally t(TrackedTally::Limits{.connections = room});
  t.StartOnEmptyKernel();
  const FlowKey other = Key("192.0.2.2", 53);
  t.New(other, 7);
  t.tracker.BeginDump(DumpReason::kInterval);
  t.New(kFlow, 1);
  t.Destroy(kFlow, 1);
  const int pieces = GENERATE(0, 3);  // until the end is in the older half of what is remembered
  for (int piece = 0; piece < pieces; ++piece) {
    t.now.centiseconds += 300;
    t.tracker.BeginPiece(t.now);
  }
  t.New(kFlow, 2);
  t.Dumped(other, 7);
  t.Dumped(kFlow, 2);
  t.EndDumpAndSweep();
  CHECK(t.Totals().ConnectionsSum() == 2);
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
