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

Packet Tcp(unsigned source_port, unsigned destination_port, unsigned flags, unsigned sequence = 1) {
  Packet packet;
  Append(packet, {source_port >> 8, source_port & 255, destination_port >> 8, destination_port & 255});
  Append(packet, {0, 0, 0, sequence, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0});
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

TEST_CASE("over loopback a request arrives, and its answer has left") {
  for (const auto& [flags, answer] :
       {std::pair{kSyn | kAck, Answer::kAccepted}, std::pair{kReset | kAck, Answer::kReset}}) {
    PacketLedger ledger({});
    ledger.Take(Ip(1, 1, 6, Tcp(5000, 80, kSyn)), Way::kLoopback, 1, microseconds(10));
    ledger.Take(Ip(1, 1, 6, Tcp(80, 5000, flags)), Way::kLoopback, 1, microseconds(20));
    CHECK(Only(ledger).answer == answer);
    CHECK(Only(ledger).answered_from_here);
    CHECK(Only(ledger).in_link == 1);
    CHECK(Only(ledger).requests == 1);
  }
}

TEST_CASE("a packet that a bridge's port and the bridge see counts once, and its repetition once more") {
  PacketLedger ledger({});
  const Packet asks = Ip(2, 1, 6, Tcp(5000, 80, kSyn)), answers = Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck));
  for (int i = 0; i < 2; ++i) {
    ledger.Take(asks, Way::kArriving, 7, seconds(i));
    ledger.Take(asks, Way::kArriving, 8, seconds(i) + microseconds(9));
    ledger.Take(answers, Way::kLeaving, 8, seconds(i) + microseconds(20));
    ledger.Take(answers, Way::kLeaving, 7, seconds(i) + microseconds(21));
  }
  CHECK(Only(ledger).requests == 2);
  CHECK(Only(ledger).asked_again == 1);
  CHECK(Only(ledger).answered_again == 1);
  CHECK(Only(ledger).in_link == 8);
}

TEST_CASE("a request that leaves with another destination is the one that came, and so are its answers") {
  PacketLedger ledger({});
  ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(2, 3, 6, Tcp(5000, 8080, kSyn)), Way::kLeaving, 8, microseconds(11));
  CHECK(Only(ledger).out_link == 8);
  ledger.Take(Ip(3, 2, 6, Tcp(8080, 5000, kSyn | kAck)), Way::kLeaving, 7, microseconds(12));  // untranslated
  CHECK(Only(ledger).answer == Answer::kNone);
  ledger.Take(Ip(3, 2, 6, Tcp(8080, 5000, kSyn | kAck)), Way::kArriving, 8, microseconds(20));
  CHECK(Only(ledger).answer_arrived);
  ledger.Take(Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck)), Way::kLeaving, 7, microseconds(21));
  CHECK(Only(ledger).answer == Answer::kAccepted);
  CHECK(Only(ledger).requests == 1);
  ledger.Take(Ip(2, 4, 6, Tcp(5000, 80, kSyn, 2)), Way::kArriving, 7, microseconds(30));  // another connection
  CHECK(ledger.Close(seconds(5), 0).flows.size() == 2);
}

TEST_CASE("a scanner's requests are many, though they have one source port and one sequence number") {
  PacketLedger ledger({});
  for (unsigned port = 1; port <= 20; ++port) {
    ledger.Take(Ip(2, 1, 6, Tcp(5000, port, kSyn)), Way::kArriving, 7, microseconds(port));
    ledger.Take(Ip(2, 1, 6, Tcp(5000, port, kSyn)), Way::kLeaving, 8, microseconds(port));
  }
  CHECK(ledger.Close(seconds(1), 0).flows.size() == 20);
}

TEST_CASE("who is accepted and does not go on has not got the answer") {
  PacketLedger ledger({});
  const Packet asks = Ip(2, 1, 6, Tcp(5000, 80, kSyn)), answers = Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck));
  ledger.Take(asks, Way::kArriving, 7, microseconds(10));
  ledger.Take(answers, Way::kLeaving, 8, microseconds(20));
  WatchedPackets watched = ledger.Close(seconds(2), 0);
  CHECK(watched.IsAccepted(watched.flows[0]));  // as far as is known
  watched.flows[0].acknowledged = false;
  CHECK_FALSE(watched.IsAccepted(watched.flows[0]));
  watched.lasted = std::chrono::milliseconds(900);  // it may go on yet
  CHECK(watched.IsAccepted(watched.flows[0]));
  ledger.Take(answers, Way::kLeaving, 8, seconds(1));
  watched = ledger.Close(seconds(2), 0);
  CHECK(watched.IsAnswerLost(watched.flows[0]));
  SECTION("but who resets has") {
    ledger.Take(Ip(2, 1, 6, Tcp(5000, 80, kReset)), Way::kArriving, 7, seconds(1));
    watched = ledger.Close(seconds(2), 0);
    CHECK(watched.IsAccepted(watched.flows[0]));
  }
  SECTION("and another connection from the same port is another") {
    PacketLedger other({});
    for (const unsigned sequence : {1U, 9U}) {
      other.Take(Ip(2, 1, 6, Tcp(5000, 80, kSyn, sequence)), Way::kArriving, 7, seconds(sequence));
      other.Take(Ip(1, 2, 6, Tcp(80, 5000, kSyn | kAck, sequence)), Way::kLeaving, 7, seconds(sequence));
    }
    watched = other.Close(seconds(12), 0);
    CHECK(watched.IsAccepted(watched.flows[0]));
  }
}

TEST_CASE("a datagram from another address than was asked answers nobody, unless the right one comes") {
  WatchFilter filter;
  filter.protocol = std::uint8_t{17};
  filter.destination_port = std::uint16_t{53};
  PacketLedger ledger(filter);
  ledger.Take(Ip(2, 9, 17, Tcp(5000, 53, 0)), Way::kArriving, 7, microseconds(10));
  ledger.Take(Ip(1, 2, 17, Tcp(53, 5000, 0)), Way::kArriving, 8, microseconds(15));  // may be translated yet
  CHECK(Only(ledger).answer == Answer::kNone);
  ledger.Take(Ip(1, 2, 17, Tcp(53, 5000, 0)), Way::kLeaving, 7, microseconds(20));
  CHECK(Only(ledger).answer == Answer::kFromAnother);
  CHECK(Only(ledger).answered_by == IpAddress::Parse("10.0.0.1"));
  ledger.Take(Ip(9, 2, 17, Tcp(53, 5000, 0)), Way::kLeaving, 7, microseconds(30));
  CHECK(Only(ledger).answer == Answer::kAccepted);
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
