#include "collectors/table/table_reader.h"

#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include "test/support/catch.h"
#include "test/support/message_builder.h"

using namespace conntally;
using namespace conntally::test;

namespace {

Buffer FillMessage(std::initializer_list<Buffer> attributes) {
  return Message(IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC, attributes);
}

// nfgenmsg.res_id is the CPU, in network order.
Buffer CpuMessage(std::uint16_t cpu, std::initializer_list<Buffer> attributes) {
  Buffer message = Message(IPCTNL_MSG_CT_GET_STATS_CPU, 0, AF_UNSPEC, attributes);
  const Buffer number = NetworkBytes(cpu);
  std::copy(number.begin(), number.end(), message.begin() + sizeof(nlmsghdr) + 2);
  return message;
}

const Buffer kEntries = Field(CTA_STATS_GLOBAL_ENTRIES, std::uint32_t{1234});
const Buffer kLimit = Field(CTA_STATS_GLOBAL_MAX_ENTRIES, std::uint32_t{262'144});

}  // namespace

TEST_CASE("the table's fill and limit are read") {
  const auto fill = DecodeTableFill(FillMessage({kEntries, kLimit}));
  REQUIRE(fill);
  CHECK(fill->entries == 1234);
  CHECK(fill->limit == 262'144U);
}

TEST_CASE("a kernel that does not tell the limit is understood") {
  const auto fill = DecodeTableFill(FillMessage({kEntries}));
  REQUIRE(fill);
  CHECK(fill->entries == 1234);
  CHECK_FALSE(fill->limit);
}

TEST_CASE("an answer without the number of entries is no answer") {
  CHECK_FALSE(DecodeTableFill(FillMessage({kLimit})));
  CHECK_FALSE(DecodeTableFill(FillMessage({})));
  CHECK_FALSE(DecodeTableFill(FillMessage({Field(CTA_STATS_GLOBAL_ENTRIES, std::uint16_t{7})})));
}

TEST_CASE("attributes that a later kernel may add are passed over") {
  const auto fill = DecodeTableFill(FillMessage({Field(99, std::uint64_t{1}), kEntries, Field(98, Buffer{})}));
  REQUIRE(fill);
  CHECK(fill->entries == 1234);
  const auto counters =
      DecodeCpuCounters(CpuMessage(0, {Field(99, std::uint64_t{1}), Field(CTA_STATS_DROP, std::uint32_t{5})}));
  REQUIRE(counters);
  CHECK(counters->values[static_cast<std::size_t>(TableCounter::kDrop)] == 5);
}

TEST_CASE("each counter of a CPU is read from its own attribute") {
  const auto counters = DecodeCpuCounters(
      CpuMessage(513, {Field(CTA_STATS_FOUND, std::uint32_t{90}), Field(CTA_STATS_INVALID, std::uint32_t{1}),
                       Field(CTA_STATS_INSERT, std::uint32_t{91}), Field(CTA_STATS_INSERT_FAILED, std::uint32_t{2}),
                       Field(CTA_STATS_DROP, std::uint32_t{3}), Field(CTA_STATS_EARLY_DROP, std::uint32_t{4}),
                       Field(CTA_STATS_ERROR, std::uint32_t{92}), Field(CTA_STATS_SEARCH_RESTART, std::uint32_t{5}),
                       Field(CTA_STATS_CLASH_RESOLVE, std::uint32_t{6}), Field(CTA_STATS_CHAIN_TOOLONG, UINT32_MAX)}));
  REQUIRE(counters);
  CHECK(counters->cpu == 513);
  const auto value = [&](TableCounter which) { return counters->values[static_cast<std::size_t>(which)]; };
  CHECK(value(TableCounter::kInvalid) == 1);
  CHECK(value(TableCounter::kInsertFailed) == 2);
  CHECK(value(TableCounter::kDrop) == 3);
  CHECK(value(TableCounter::kEarlyDrop) == 4);
  CHECK(value(TableCounter::kSearchRestart) == 5);
  CHECK(value(TableCounter::kClashResolved) == 6);
  CHECK(value(TableCounter::kChainTooLong) == UINT32_MAX);
}

TEST_CASE("a CPU that tells less has zeros for the rest") {
  const auto counters = DecodeCpuCounters(CpuMessage(1, {}));
  REQUIRE(counters);
  CHECK(counters->values == std::array<std::uint32_t, kTableCounters>{});
}

TEST_CASE("a message cut anywhere is refused, and nothing beyond it is read") {
  for (const Buffer& whole :
       {FillMessage({kEntries, kLimit}), CpuMessage(1, {Field(CTA_STATS_DROP, std::uint32_t{5})})}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const Buffer cut(whole.begin(),
                       whole.begin() + static_cast<std::ptrdiff_t>(length));  // exactly: ASan watches its end
      CHECK_FALSE(DecodeTableFill(cut));
      CHECK_FALSE(DecodeCpuCounters(cut));
    }
  }
}

TEST_CASE("lengths that lie are refused") {
  CHECK_FALSE(
      DecodeTableFill(FillMessage({kEntries, RawAttribute(CTA_STATS_GLOBAL_MAX_ENTRIES, 9, NetworkBytes(1U))})));
  CHECK_FALSE(
      DecodeTableFill(FillMessage({kEntries, RawAttribute(CTA_STATS_GLOBAL_MAX_ENTRIES, 3, NetworkBytes(1U))})));
  CHECK_FALSE(DecodeCpuCounters(CpuMessage(1, {RawAttribute(CTA_STATS_DROP, 0xFFFF, NetworkBytes(1U))})));
  Buffer headless = FillMessage({kEntries});
  const Buffer short_length = HostBytes(std::uint32_t{sizeof(nlmsghdr) + 3});  // not even an nfgenmsg
  std::copy(short_length.begin(), short_length.end(), headless.begin());
  CHECK_FALSE(DecodeTableFill(headless));
  CHECK_FALSE(DecodeCpuCounters(headless));
}
