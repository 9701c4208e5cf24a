#include "collectors/host/packets/stream_ledger.h"

#include <linux/if_ether.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collectors/host/packets/stream_filter.h"
#include "test/support/catch.h"

using namespace conntally;
using std::chrono::milliseconds;

namespace {

const StreamEnds kRequest{*IpAddress::Parse("10.0.0.2"), *IpAddress::Parse("10.0.1.2"), 40000, 80};

StreamLedger::Segment Data(std::uint32_t sequence, std::uint32_t bytes = 10) {
  return {kRequest, sequence, 1, bytes, true, false};
}
StreamLedger::Segment Acknowledges(std::uint32_t sequence) {
  return {kRequest.Reversed(), 1, sequence, 0, true, false};
}

std::vector<std::byte> Bytes4(std::initializer_list<unsigned> bytes) {
  std::vector<std::byte> made;
  for (const unsigned each : bytes) made.push_back(static_cast<std::byte>(each));
  return made;
}

}  // namespace

TEST_CASE("data that is sent again and goes no further stalls here") {
  StreamLedger ledger;
  for (int i = 0; i < 3; ++i) ledger.Take(Data(100), false, 2, milliseconds(200 * i));
  const auto stalled = ledger.Stalled(milliseconds(600));
  REQUIRE(stalled.size() == 1);
  CHECK(stalled[0].ends == kRequest);
  CHECK(stalled[0].in_link == 2);
  CHECK(stalled[0].out_link == 0);
  CHECK(stalled[0].times == 3);
}

TEST_CASE("data that leaves again is not lost here") {
  StreamLedger ledger;
  for (int i = 0; i < 2; ++i) {
    ledger.Take(Data(100), false, 2, milliseconds(200 * i));
    ledger.Take(Data(100), true, 3, milliseconds(200 * i));
  }
  const auto stalled = ledger.Stalled(milliseconds(400));
  REQUIRE(stalled.size() == 1);
  CHECK(stalled[0].out_link == 3);
  CHECK(stalled[0].times == 2);
}

TEST_CASE("data that a bridge's port and the bridge see was sent once") {
  StreamLedger ledger;
  ledger.Take(Data(100), false, 2, milliseconds(0));
  ledger.Take(Data(100), false, 3, milliseconds(0));
  CHECK(ledger.Stalled(milliseconds(1)).empty());
}

TEST_CASE("a request is known until something follows it") {
  StreamLedger ledger;
  StreamLedger::Segment request{kRequest, 99, 0, 0, false, true, true};
  StreamLedger::Segment accepts{kRequest.Reversed(), 1, 100, 0, true, true, false};
  ledger.Take(request, false, 2, milliseconds(0));
  ledger.Take(accepts, true, 2, milliseconds(1));
  CHECK(ledger.IsSilentSince(kRequest));
  ledger.Take({kRequest, 100, 2, 0, true, false, false}, false, 2, milliseconds(2));
  CHECK_FALSE(ledger.IsSilentSince(kRequest));
}

TEST_CASE("what is acknowledged does not stall, nor what was sent just now") {
  StreamLedger ledger;
  ledger.Take(Data(100), false, 2, milliseconds(0));
  ledger.Take(Acknowledges(110), true, 2, milliseconds(1));
  CHECK(ledger.Stalled(milliseconds(5000)).empty());
  ledger.Take(Data(110), false, 2, milliseconds(5000));
  CHECK(ledger.Stalled(milliseconds(5100)).empty());
  CHECK(ledger.Stalled(milliseconds(5600)).size() == 1);
  ledger.Take(Acknowledges(110), true, 2, milliseconds(5200));  // no more than before
  CHECK(ledger.Stalled(milliseconds(5600)).size() == 1);
}

TEST_CASE("sequence numbers wrap") {
  StreamLedger ledger;
  ledger.Take(Data(0xfffffffa), false, 2, milliseconds(0));
  ledger.Take(Acknowledges(4), true, 2, milliseconds(1));
  CHECK(ledger.Stalled(milliseconds(5000)).empty());
}

TEST_CASE("a connection that ends or begins anew leaves nothing behind") {
  StreamLedger ledger;
  ledger.Take(Data(100), false, 2, milliseconds(0));
  ledger.Take({kRequest, 7, 0, 0, false, true}, false, 2, milliseconds(1));
  CHECK(ledger.Stalled(milliseconds(5000)).empty());
}

TEST_CASE("streams beyond the bound are counted") {
  StreamLedger ledger;
  StreamLedger::Segment segment = Data(1);
  for (std::size_t i = 0; i < StreamLedger::kStreamsMax + 5; ++i) {
    segment.ends.source_port = static_cast<std::uint16_t>(i & 0xffff);
    segment.ends.destination_port = static_cast<std::uint16_t>(i >> 16);
    ledger.Take(segment, false, 2, milliseconds(0));
  }
  CHECK(ledger.left_out() == 5);
}

TEST_CASE("segments and messages of too long packets are read, whatever was cut") {
  auto tcp = Bytes4({0x45, 0,    0, 50, 0, 0, 0, 0,   64, 6, 0, 0, 10,   0,    0, 2, 10, 0, 1, 2,
                     0x9c, 0x40, 0, 80, 0, 0, 0, 100, 0,  0, 0, 1, 0x50, 0x18, 0, 0, 0,  0, 0, 0});
  const auto segment = ReadSegment(tcp);
  REQUIRE(segment);
  CHECK(segment->ends == kRequest);
  CHECK(segment->sequence == 100);
  CHECK(segment->payload_bytes == 10);
  CHECK(segment->acknowledges);
  for (std::size_t size = 0; size < tcp.size(); ++size) CHECK_FALSE(ReadSegment(Bytes(tcp).first(size)));

  auto icmp = Bytes4({0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 9, 9, 10, 0, 0, 2, 3, 4, 0, 0, 0, 0, 5, 0});
  icmp.insert(icmp.end(), tcp.begin(), tcp.end());
  const auto said = ReadTooLong(icmp);
  REQUIRE(said);
  CHECK(said->ends == kRequest);
  CHECK(said->mtu == 1280);
  CHECK(said->said_to == kRequest.source);
  CHECK_FALSE(ReadTooLong(tcp));
  for (std::size_t size = 0; size < 52; ++size) CHECK_FALSE(ReadTooLong(Bytes(icmp).first(size)));
}

TEST_CASE("the kernel takes the filter, for whatever is asked") {
  for (const char* source : {"", "10.0.0.2", "2001:db8::2"}) {
    for (const char* destination : {"", "10.0.1.2", "2001:db8::1"}) {
      for (const bool port : {false, true}) {
        WatchFilter filter;
        if (*source != 0) filter.source = IpAddress::Parse(source);
        if (*destination != 0) filter.destination = IpAddress::Parse(destination);
        if (port) filter.destination_port = std::uint16_t{80};
        auto program = StreamProgram(filter, 256);
        const sock_fprog attached{static_cast<unsigned short>(program.size()), program.data()};
        const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        REQUIRE(fd >= 0);
        CHECK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) == 0);
        close(fd);
      }
    }
  }
}
