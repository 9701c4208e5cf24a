#include "collectors/rules/nft/messages/nft_set_content.h"

#include <netinet/in.h>
// After it: these clash with it otherwise.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "test/support/catch.h"

using namespace conntally;

namespace {

using Key = std::array<std::byte, 1>;
Key KeyOf(unsigned number) { return {static_cast<std::byte>(number)}; }

NftElement Point(const Key& key, bool end) {
  NftElement element;
  element.key = key;
  element.flags = end ? NFT_SET_ELEM_INTERVAL_END : 0;
  return element;
}

using Ranges = std::vector<std::pair<unsigned, unsigned>>;
Ranges RangesIn(const std::vector<NftElement>& elements) {
  Ranges ranges;
  for (const auto& range : RangesOf(elements, true)) {
    ranges.emplace_back(std::to_integer<unsigned>(range.first[0]), std::to_integer<unsigned>(range.last[0]));
  }
  return ranges;
}

}  // namespace

TEST_CASE(
    "intervals are kept whole where one begins at the very key that ends another, in whichever order these are told") {
  const Key ten = KeyOf(10), twenty = KeyOf(20), thirty = KeyOf(30);
  const Ranges whole = {{10, 19}, {20, 29}};
  CHECK(RangesIn({Point(ten, false), Point(twenty, true), Point(twenty, false), Point(thirty, true)}) == whole);
  CHECK(RangesIn({Point(thirty, true), Point(twenty, false), Point(twenty, true), Point(ten, false)}) == whole);
}

TEST_CASE("the last interval is open where nothing ends it") {
  const Key ten = KeyOf(10), twenty = KeyOf(20);
  CHECK(RangesIn({Point(twenty, false), Point(ten, false)}) == Ranges{{10, 19}, {20, 255}});
}
