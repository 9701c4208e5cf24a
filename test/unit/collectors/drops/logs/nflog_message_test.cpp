#include "collectors/drops/logs/nflog_message.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#include <bit>

#include "collectors/drops/logs/packet_header.h"
#include "test/support/catch.h"
#include "test/support/message_builder.h"

using namespace conntally;
using namespace conntally::test;

namespace {

Buffer Text(std::string_view text) {
  Buffer bytes;
  for (const char letter : text) bytes.push_back(static_cast<std::byte>(letter));
  return bytes;
}

Buffer Octets(std::initializer_list<int> octets) {
  Buffer bytes;
  for (const int octet : octets) bytes.push_back(static_cast<std::byte>(octet));
  return bytes;
}

// TCP from 192.0.2.7 to port 8080.
Buffer Ipv4Packet(int fragment_offset = 0) {
  return Octets({0x45, 0,    0,    40, 0, 1, 0, fragment_offset, 64, 6, 0, 0, 192, 0, 2, 7, 198, 51, 100, 2, 0x9c,
                 0x40, 0x1f, 0x90, 0,  0, 0, 0});
}

// From 2001:db8::7, with these headers after the fixed one, the first of which is `next`.
Buffer Ipv6Packet(int next, std::initializer_list<Buffer> headers) {
  Buffer packet = Octets({0x60, 0, 0, 0, 0, 0, next, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7});
  packet.resize(40);
  return Join({packet, Join(headers)});
}

const Buffer kUdpTo53 = Octets({0, 9, 0, 53, 0, 9, 0, 0});

Buffer Nflog(int family, std::initializer_list<Buffer> attributes, std::uint16_t group = 5) {
  Buffer message = Message(0, 0, family, attributes);
  const auto type = HostBytes(static_cast<std::uint16_t>(NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET));
  std::copy(type.begin(), type.end(), message.begin() + 4);
  const auto resource = NetworkBytes(group);
  std::copy(resource.begin(), resource.end(), message.begin() + 18);
  return message;
}

Buffer PacketHeader(int hook) { return Field(NFULA_PACKET_HDR, Octets({8, 0, hook, 0})); }

}  // namespace

TEST_CASE("a logged packet tells group, sequence, prefix, hook, interfaces and who sent it") {
  const auto decoded = DecodeNflogMessage(
      Nflog(AF_INET, {PacketHeader(NF_INET_LOCAL_IN), Field(NFULA_PREFIX, Text(std::string_view("IPT_DROP: \0", 11))),
                      Field(NFULA_IFINDEX_INDEV, std::uint32_t{3}), Field(NFULA_PAYLOAD, Ipv4Packet()),
                      Field(NFULA_SEQ, std::uint32_t{41})}));
  REQUIRE(decoded);
  CHECK(decoded->group == 5);
  CHECK(decoded->sequence == 41U);
  REQUIRE(decoded->packet);
  CHECK(decoded->packet->prefix == "IPT_DROP:");
  CHECK(decoded->packet->via == DropVia::kNflog);
  const DropKey& key = decoded->packet->key;
  CHECK(key.source.ToString() == "192.0.2.7");
  CHECK(key.protocol == 6);
  CHECK(key.destination_port == 8080);
  CHECK(key.hooks == HookSet(HookSet::kInput));
  CHECK(key.in_interface == 3);
  CHECK(key.out_interface == 0);
}

TEST_CASE("of a packet without an IP header the sequence is kept, so that it is no loss") {
  const auto decoded =
      DecodeNflogMessage(Nflog(3, {Field(NFULA_SEQ, std::uint32_t{1}), Field(NFULA_PAYLOAD, Text("arp"))}));
  REQUIRE(decoded);
  CHECK(decoded->sequence == 1U);
  CHECK_FALSE(decoded->packet);
}

TEST_CASE("a bridge's hooks are its own") {
  const auto decoded = DecodeNflogMessage(Nflog(7, {PacketHeader(1), Field(NFULA_PAYLOAD, Ipv4Packet())}));
  CHECK(decoded->packet->key.hooks == HookSet(HookSet::kDevice));
}

TEST_CASE("what is no packet of nfnetlink_log, or is cut anywhere, is none or lacks what was cut") {
  Buffer other = Nflog(AF_INET, {});
  other[5] = std::byte{NFNL_SUBSYS_CTNETLINK};
  CHECK_FALSE(DecodeNflogMessage(other));
  const Buffer whole = Nflog(AF_INET, {PacketHeader(1), Field(NFULA_PAYLOAD, Ipv4Packet())});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Buffer cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(DecodeNflogMessage(cut));
    if (size < 20) continue;
    const auto length = HostBytes(static_cast<std::uint32_t>(size));
    std::copy(length.begin(), length.end(), cut.begin());
    const auto decoded = DecodeNflogMessage(cut);
    CHECK_FALSE((decoded && decoded->packet));
  }
}

TEST_CASE("a later fragment has no port") {
  CHECK(ReadPacketHeader(Ipv4Packet())->destination_port == 8080);
  CHECK(ReadPacketHeader(Ipv4Packet(1))->destination_port == 0);
  const Buffer first = Octets({17, 0, 0, 1, 0, 0, 0, 1});
  const Buffer later = Octets({17, 0, 0, 9, 0, 0, 0, 1});
  CHECK(ReadPacketHeader(Ipv6Packet(44, {first, kUdpTo53}))->destination_port == 53);
  CHECK(ReadPacketHeader(Ipv6Packet(44, {later, kUdpTo53}))->destination_port == 0);
  CHECK(ReadPacketHeader(Ipv6Packet(44, {later, kUdpTo53}))->protocol == 17);
}

TEST_CASE("the protocol stands behind IPv6's extension headers") {
  const Buffer options = Octets({60, 0, 0, 0, 0, 0, 0, 0});
  const Buffer destination = Octets({17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  const auto key = ReadPacketHeader(Ipv6Packet(0, {options, destination, kUdpTo53})).value();
  CHECK(key.source.ToString() == "2001:db8::7");
  CHECK(key.protocol == 17);
  CHECK(key.destination_port == 53);
}

TEST_CASE("a header that is cut short is none, and one without its ports has none") {
  const Buffer packet = Ipv4Packet();
  for (std::size_t size = 0; size < packet.size(); ++size) {
    const auto key = ReadPacketHeader(Bytes(packet).first(size));
    CHECK(key.has_value() == (size >= 20));
    if (key) CHECK(key->destination_port == (size >= 24 ? 8080 : 0));
  }
  CHECK_FALSE(ReadPacketHeader(Octets({0x55, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 7, 198, 51, 100, 2})));
}
