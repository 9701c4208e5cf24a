#include <arpa/inet.h>

#include "collectors/netlink/attributes.h"
#include "collectors/netlink/messages.h"
#include "test/support/catch.h"
#include "test/support/message_builder.h"

namespace conntally::test {
namespace {

struct Walked {
  std::vector<std::pair<int, std::size_t>> attributes;  // type, payload bytes
  bool malformed = false;
};

Walked WalkAttributes(const Buffer& bytes) {
  Walked walked;
  AttributeWalk walk(bytes);
  for (Attribute attribute; walk.Next(attribute);)
    walked.attributes.emplace_back(attribute.type, attribute.payload.size());
  walked.malformed = walk.malformed();
  return walked;
}

Buffer Header(std::uint32_t length, std::uint16_t type) { return HostBytes(nlmsghdr{length, type, 0, 0, 0}); }

std::pair<std::size_t, bool> CountMessages(const Buffer& datagram) {
  MessageWalk walk(datagram);
  std::size_t count = 0;
  for (Bytes message; walk.Next(message);) ++count;
  return {count, walk.malformed()};
}

}  // namespace

TEST_CASE("attributes come in order, without their flag bits and padding") {
  const Walked walked =
      WalkAttributes(Join({Field(1 | NLA_F_NET_BYTEORDER, Buffer(5)), Nest(2, {}), Field(3, Buffer(8))}));
  CHECK(walked.attributes == std::vector<std::pair<int, std::size_t>>{{1, 5}, {2, 0}, {3, 8}});
  CHECK_FALSE(walked.malformed);
}

TEST_CASE("nothing is a clean end, and so is a last attribute without its padding") {
  CHECK_FALSE(WalkAttributes({}).malformed);
  Buffer unpadded = Field(1, Buffer(2));
  unpadded.resize(6);
  CHECK(WalkAttributes(unpadded).attributes.size() == 1);
  CHECK_FALSE(WalkAttributes(unpadded).malformed);
}

TEST_CASE("a length under the header's, or past the end, is malformed") {
  for (const std::size_t length : {0U, 3U, 9U, 0xffffU}) {
    const Walked walked = WalkAttributes(Join({Field(1, Buffer(4)), RawAttribute(2, length, Buffer(4))}));
    CHECK(walked.attributes.size() == 1);
    CHECK(walked.malformed);
  }
  CHECK(WalkAttributes(Buffer(3)).malformed);
}

TEST_CASE("a datagram of several messages yields each without what follows it") {
  const Buffer odd = Join({Header(18, 1), Buffer(2 + 2)});  // 2 bytes of payload, 2 of padding
  CHECK(CountMessages(Join({odd, odd, Header(16, NLMSG_DONE)})) == std::pair<std::size_t, bool>{3, false});
  const Buffer two = Join({odd, odd});
  MessageWalk walk(two);
  Bytes message;
  REQUIRE(walk.Next(message));
  CHECK(message.size() == 18);
}

TEST_CASE("a message cut short ends the walk as malformed") {
  CHECK(CountMessages({}) == std::pair<std::size_t, bool>{0, false});
  CHECK(CountMessages(Join({Header(16, 1), Header(17, 1)})) == std::pair<std::size_t, bool>{1, true});
  CHECK(CountMessages(Join({Header(16, 1), Buffer(15)})) == std::pair<std::size_t, bool>{1, true});
  for (const std::uint32_t length : {0U, 15U, 0xffffffffU})
    CHECK(CountMessages(Header(length, 1)) == std::pair<std::size_t, bool>{0, true});
}

TEST_CASE("a netfilter message shows its family, its resource and its attributes, and none that is cut short does") {
  const Buffer whole = Join({Header(16 + 4 + 8, NFNL_SUBSYS_ULOG << 8),
                             HostBytes(nfgenmsg{AF_INET6, NFNETLINK_V0, htons(300)}), Field(1, std::uint32_t{7})});
  const auto read = ReadNetfilterMessage(whole);
  REQUIRE(read);
  CHECK(read->type == NFNL_SUBSYS_ULOG << 8);
  CHECK(read->family == AF_INET6);
  CHECK(read->resource == 300);
  CHECK(WalkAttributes(Buffer(read->attributes.begin(), read->attributes.end())).attributes.size() == 1);
  CHECK_FALSE(ReadNetfilterMessage(Bytes(whole).first(27)));
  CHECK_FALSE(ReadNetfilterMessage(Join({Header(19, 1), Buffer(3)})));
}

}  // namespace conntally::test
