// What connections show of their source, as the kernel tells it: seen in namespaces by test/netns/source_proof_test.py.
#include "test/unit/collectors/conntrack/flows/tracked_tally.h"

using namespace conntally;
using namespace conntally::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kAssured = kReplied | IPS_ASSURED;

SourceFigures Advanced(TrackedTally& tracked, const std::string& source = "192.0.2.1") {
  {
    Tally::View view = tracked.View();
    tracked.tally.Advance(view, Tally::Time{}, 1s, 10min);
  }
  return tracked.Of(source);
}

struct Handshake : TrackedTally {
  Handshake() {
    StartOnEmptyKernel();
    Apply(Event(EventKind::kNew, key, 1, kUnreplied, TcpState::kSynSent));
    Update(key, 1, kReplied, TcpState::kSynRecv);
  }
  FlowKey key = Key("192.0.2.1", 80, kTcp);
};

}  // namespace

TEST_CASE("a handshake proves its source with its third packet, not with its second") {
  Handshake tracked;
  CHECK(Advanced(tracked).proof == Proof::kUnanswered);
  tracked.Update(tracked.key, 1, kAssured, TcpState::kEstablished);
  CHECK(Advanced(tracked).proof == Proof::kProven);
}

TEST_CASE("a lone ACK enters as established and proves nothing until both sides have spoken on it") {
  TrackedTally tracked;
  tracked.StartOnEmptyKernel();
  const FlowKey key = Key("192.0.2.1", 80, kTcp);
  tracked.Apply(Event(EventKind::kNew, key, 1, kUnreplied, TcpState::kEstablished));
  CHECK(Advanced(tracked).proof == Proof::kUnanswered);
  tracked.Update(key, 1, kReplied, TcpState::kEstablished);
  CHECK(Advanced(tracked).proof == Proof::kUnanswered);
  tracked.Update(key, 1, kAssured, TcpState::kEstablished);
  CHECK(Advanced(tracked).proof == Proof::kProven);
}

TEST_CASE("an answered question is an answer, and no proof") {
  TrackedTally tracked;
  tracked.StartOnEmptyKernel();
  tracked.New(Key("192.0.2.1", 53), 1);
  CHECK(Advanced(tracked).proof == Proof::kUnanswered);
  tracked.Update(Key("192.0.2.1", 53), 1, kReplied);
  CHECK(Advanced(tracked).proof == Proof::kAnswered);
  tracked.Update(Key("192.0.2.1", 53), 1, kAssured);
  CHECK(Advanced(tracked).proof == Proof::kAnswered);
}

TEST_CASE("the first dump proves those that hold established connections") {
  TrackedTally tracked;
  tracked.tracker.BeginDump(DumpReason::kStart);
  tracked.Dumped(Key("192.0.2.1", 80, kTcp), 1, kAssured, TcpState::kEstablished);
  tracked.Dumped(Key("192.0.2.2", 80, kTcp), 2, kAssured, TcpState::kTimeWait);
  tracked.Dumped(Key("192.0.2.3", 80, kTcp), 3, kReplied, TcpState::kSynRecv);
  tracked.Dumped(Key("192.0.2.4", 53), 4, kReplied);
  tracked.EndDumpAndSweep();
  CHECK(Advanced(tracked, "192.0.2.1").proof == Proof::kProven);
  CHECK(Advanced(tracked, "192.0.2.2").proof == Proof::kProven);
  CHECK(Advanced(tracked, "192.0.2.3").proof == Proof::kUnanswered);
  CHECK(Advanced(tracked, "192.0.2.4").proof == Proof::kAnswered);
}

TEST_CASE("a connection fails when it ends unanswered, as one that an RST refuses does") {
  TrackedTally tracked;
  tracked.StartOnEmptyKernel();
  const auto end = [&](std::uint8_t protocol, std::uint32_t status) {
    const FlowKey key = Key("192.0.2.1", 80, protocol);
    const std::uint64_t before = tracked.Of("192.0.2.1").failed;
    tracked.New(key, 1);
    tracked.Apply(Event(EventKind::kDestroy, key, 1, status));
    return tracked.Of("192.0.2.1").failed - before;
  };
  CHECK(end(kUdp, kUnreplied) == 1);
  CHECK(end(kUdp, kReplied) == 0);
  CHECK(end(kTcp, kUnreplied) == 1);
  CHECK(end(kTcp, kReplied) == 0);  // answered by SYN/ACK, and then closed or forgotten
  CHECK(end(kTcp, kAssured) == 0);
}

TEST_CASE("a connection whose end nobody told has not failed") {
  TrackedTally tracked;
  tracked.StartOnEmptyKernel();
  tracked.New(Key("192.0.2.1", 80), 1);
  tracked.tracker.BeginDump(DumpReason::kInterval);
  tracked.EndDumpAndSweep();
  CHECK(tracked.Of("192.0.2.1").closed == 1);
  CHECK(tracked.Of("192.0.2.1").failed == 0);
}

TEST_CASE("the status of every entry that an event or a dump tells of is handed on once") {
  Handshake tracked;
  CHECK(tracked.tracker.TakeStatuses() == (kUnreplied | kReplied));
  CHECK(tracked.tracker.TakeStatuses() == 0);
  tracked.Update(tracked.key, 1, kAssured | IPS_SRC_NAT, TcpState::kEstablished);
  CHECK((tracked.tracker.TakeStatuses() & IPS_NAT_MASK) == IPS_SRC_NAT);
  tracked.tracker.BeginDump(DumpReason::kInterval);
  tracked.Dumped(Key("192.0.2.2", 53), 2, kReplied | IPS_DST_NAT);
  CHECK((tracked.tracker.TakeStatuses() & IPS_NAT_MASK) == IPS_DST_NAT);
}
