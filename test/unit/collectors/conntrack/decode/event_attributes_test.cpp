#include "collectors/conntrack/decode/event_attributes.h"

#include <random>

#include "collectors/netlink/messages.h"
#include "test/support/catch.h"
#include "test/support/conntrack_oracle.h"
#include "test/support/recording.h"

namespace conntally::test {
namespace {

using Walked = std::vector<std::tuple<std::uint16_t, const std::byte*, std::size_t>>;

template <typename Walk>
std::pair<Walked, bool> WalkAll(Bytes bytes) {
  Walked walked;
  Walk walk(bytes);
  for (Attribute attribute; walk.Next(attribute);) {
    walked.emplace_back(attribute.type, attribute.payload.data(), attribute.payload.size());
  }
  return {walked, walk.malformed()};
}

}  // namespace

TEST_CASE("the hot path's walk sees what libmnl's does, in whole messages and in spoiled ones") {
  std::mt19937 random(1);
  std::size_t attributes = 0, malformed = 0;
  for (const Recording& recording : ReadRecordings(CONNTALLY_CONNTRACK_RECORDINGS)) {
    for (Buffer message : Messages(recording)) {
      for (int round = 0; round < 4; ++round) {
        if (round > 0) message[random() % message.size()] = static_cast<std::byte>(random());
        const Bytes bytes = AttributesAfter(message, sizeof(nfgenmsg));
        const auto hot = WalkAll<EventAttributeWalk>(bytes), library = WalkAll<AttributeWalk>(bytes);
        REQUIRE(hot == library);
        attributes += hot.first.size();
        malformed += hot.second ? 1 : 0;
      }
    }
  }
  CHECK(attributes > 1000);
  CHECK(malformed > 10);
}

}  // namespace conntally::test
