#include <vector>

#include "collectors/host/packets/packet_watch.h"
#include "test/support/catch.h"

using namespace conntally;
using Way = PacketLedger::Way;
using Answer = WatchedFlow::Answer;
using std::chrono::microseconds;
using std::chrono::seconds;

namespace {

using Packet = std::vector<std::byte>;

void Append(Packet& packet, std::initializer_list<unsigned> bytes) {
  for (const unsigned byte : bytes) packet.push_back(static_cast<std::byte>(byte));
}

// 10.0.0.<source> to 10.0.0.<destination>.
Packet Ip(unsigned source, unsigned destination, unsigned protocol, const Packet& payload) {
  Packet packet;
  Append(packet, {0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, source, 10, 0, 0, destination});
  packet.insert(packet.end(), payload.begin(), payload.end());
  return packet;
}

Packet Tcp(unsigned source_port, unsigned destination_port, unsigned flags) {
  Packet packet;
  Append(packet, {source_port >> 8,
                  source_port & 255,
                  destination_port >> 8,
                  destination_port & 255,
                  0,
                  0,
                  0,
                  1,
                  0,
                  0,
                  0,
                  0,
                  0x50,
                  flags,
                  0,
                  0,
                  0,
                  0,
                  0,
                  0});
  return packet;
}

constexpr unsigned kSyn = 2;
constexpr unsigned kReset = 4;
constexpr unsigned kAck = 16;

WatchedFlow Only(const PacketLedger& ledger) {
  const WatchedPackets watched = ledger.Close(seconds(5), 0);
  REQUIRE(watched.flows.size() == 1);
  return watched.flows[0];
}

}  // namespace

TEST_CASE("a request and what answers it are one flow") {
  for (const auto& [flags, answer] :
       {std::pair{kSyn | kAck, Answer::kAccepted}, std::pair{kReset | kAck, Answer::kReset}}) {
    PacketLedger ledger({});
    ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn)), Way::kArriving, 7, microseconds(10));
    ledger.Take(Ip(1, 2, 6, Tcp(80, 5000, flags)), Way::kLeaving, 7, microseconds(20));
    const WatchedFlow flow = Only(ledger);
    CHECK(flow.answer == answer);
    CHECK(flow.answered_from_here);
    CHECK(flow.in_link == 7);
    CHECK(flow.requests == 1);
    CHECK(flow.destination_port == 80);
  }
}

TEST_CASE("a request that is repeated and never answered") {
  PacketLedger ledger({});
  for (int i = 0; i < 3; ++i) ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn)), Way::kArriving, 7, seconds(i));
  const WatchedPackets watched = ledger.Close(seconds(4), 0);
  CHECK(watched.flows[0].requests == 3);
  CHECK(watched.IsUnanswered(watched.flows[0]));
  const WatchedPackets early = ledger.Close(seconds(2) + microseconds(100), 0);
  CHECK_FALSE(early.IsUnanswered(early.flows[0]));  // the answer may still be on its way
}

TEST_CASE("a request that is forwarded is one, and is told to have gone on") {
  PacketLedger ledger({});
  ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn)), Way::kLeaving, 8, microseconds(11));
  CHECK(Only(ledger).requests == 1);
  CHECK(Only(ledger).in_link == 7);
  CHECK(Only(ledger).out_link == 8);
}

TEST_CASE("an answer that came to be forwarded is none before it left") {
  const Packet asks = Ip(2, 1, 6, Tcp(5000, 80, kSyn)), answers = Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck));
  PacketLedger ledger({});
  ledger.Take(asks, Way::kArriving, 7, microseconds(10));
  ledger.Take(asks, Way::kLeaving, 8, microseconds(11));
  ledger.Take(answers, Way::kArriving, 8, microseconds(20));
  CHECK(Only(ledger).answer == Answer::kNone);
  CHECK(Only(ledger).answer_arrived);
  ledger.Take(answers, Way::kLeaving, 7, microseconds(21));
  CHECK(Only(ledger).answer == Answer::kAccepted);
  CHECK_FALSE(Only(ledger).answered_from_here);
}

TEST_CASE("an answer to this host's own request needs no way on, and is lost if the host asks again") {
  PacketLedger ledger({});
  const Packet asks = Ip(2, 1, 6, Tcp(5000, 80, kSyn));
  ledger.Take(asks, Way::kLeaving, 7, microseconds(10));
  ledger.Take(Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck)), Way::kArriving, 7, microseconds(20));
  CHECK(Only(ledger).answer == Answer::kAccepted);
  CHECK(Only(ledger).asked_again == 0);
  ledger.Take(asks, Way::kLeaving, 7, microseconds(30));
  CHECK(Only(ledger).asked_again == 1);
}

TEST_CASE("a reset after the handshake does not undo it") {
  PacketLedger ledger({});
  ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck)), Way::kLeaving, 7, microseconds(20));
  ledger.Take(Ip(1, 2, 6, Tcp(80, 5000, kReset)), Way::kLeaving, 7, microseconds(30));
  CHECK(Only(ledger).answer == Answer::kAccepted);
}

TEST_CASE("ICMP unreachable names the request that it answers, and who says so") {
  PacketLedger ledger({});
  const Packet request = Ip(2, 1, 6, Tcp(5000, 80, kSyn));
  ledger.Take(request, Way::kArriving, 7, microseconds(10));
  Packet icmp;
  Append(icmp, {3, 13, 0, 0, 0, 0, 0, 0});
  icmp.insert(icmp.end(), request.begin(), request.begin() + 28);  // the header and 8 bytes, as RFC 792 has it
  ledger.Take(Ip(9, 2, 1, icmp), Way::kLeaving, 7, microseconds(20));
  const WatchedFlow flow = Only(ledger);
  CHECK(flow.answer == Answer::kUnreachable);
  CHECK(flow.icmp_code == 13);
  CHECK(flow.answered_by == IpAddress::Parse("10.0.0.9"));
}

TEST_CASE("UDP is watched where it is asked for") {
  WatchFilter filter;
  filter.protocol = std::uint8_t{17};
  filter.destination_port = std::uint16_t{53};
  PacketLedger ledger(filter);
  ledger.Take(Ip(2, 1, 17, Tcp(5000, 53, 0)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(2, 1, 17, Tcp(5000, 54, 0)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(1, 2, 17, Tcp(53, 5000, 0)), Way::kLeaving, 7, microseconds(20));
  CHECK(Only(ledger).answer == Answer::kAccepted);
}

TEST_CASE("by which link answers leave, and whether they are asked for again") {
  PacketLedger ledger({});
  const Packet asks = Ip(2, 1, 6, Tcp(5000, 80, kSyn)), answers = Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck));
  ledger.Take(asks, Way::kArriving, 7, microseconds(10));
  CHECK(Only(ledger).answered_by_link == 0);
  ledger.Take(answers, Way::kLeaving, 8, microseconds(20));  // a bridge
  ledger.Take(answers, Way::kLeaving, 9, microseconds(20));  // and its port
  CHECK(Only(ledger).answered_by_link == 8);
  CHECK(Only(ledger).asked_again == 0);
  ledger.Take(asks, Way::kArriving, 7, microseconds(30));
  CHECK(Only(ledger).asked_again == 1);
}

TEST_CASE("only what was asked for is kept") {
  WatchFilter filter;
  filter.source = IpAddress::Parse("10.0.0.2");
  filter.destination_port = std::uint16_t{80};
  PacketLedger ledger(filter);
  ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(3, 1, 6, Tcp(5000, 80, kSyn)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(2, 1, 6, Tcp(5000, 81, kSyn)), Way::kArriving, 7, microseconds(10));
  CHECK(Only(ledger).source == IpAddress::Parse("10.0.0.2"));
}

TEST_CASE("packets that are cut, fragments or nonsense are passed over") {
  PacketLedger ledger({});
  const Packet whole = Ip(2, 1, 6, Tcp(5000, 80, kSyn));
  for (std::size_t length = 0; length < 34; ++length)
    ledger.Take(Bytes(whole).first(length), Way::kArriving, 7, microseconds(10));
  Packet fragment = whole;
  fragment[7] = std::byte{1};
  ledger.Take(fragment, Way::kArriving, 7, microseconds(10));
  Packet long_header = whole;
  long_header[0] = std::byte{0x4f};
  ledger.Take(long_header, Way::kArriving, 7, microseconds(10));
  CHECK(ledger.Close(seconds(1), 0).flows.empty());
}

TEST_CASE("a flood fills the ledger to its bound, and the rest is counted") {
  PacketLedger ledger({});
  constexpr std::size_t kMany = PacketLedger::kFlowsMax + 1000;
  for (std::size_t i = 0; i < kMany; ++i) {
    ledger.Take(Ip(static_cast<unsigned>(2 + i / 50'000), 1, 6, Tcp(static_cast<unsigned>(1 + i % 50'000), 80, kSyn)),
                Way::kArriving, 7, microseconds(10));
  }
  const WatchedPackets watched = ledger.Close(seconds(1), 5);
  CHECK(watched.flows.size() == PacketLedger::kFlowsMax);
  CHECK(watched.flows_left_out == 1000);
  CHECK(watched.packets_lost == 5);
}
