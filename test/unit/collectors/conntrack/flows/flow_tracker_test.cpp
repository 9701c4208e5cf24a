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
