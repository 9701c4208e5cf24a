#include "collectors/tally/source_table.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

KeyedHash FixedHash() { return KeyedHash(KeyedHash::Secret{1, 2, 3}); }

IpAddress Ipv4(std::uint32_t n) {
  IpAddress address;
  for (unsigned i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(n >> (24 - 8 * i));
  return address;
}

SourceRow Acquire(SourceTable& table, const IpAddress& source) { return table.Acquire(source, table.Hash(source)); }

}  // namespace

TEST_CASE("a source keeps its row while it is referred to") {
  SourceTable table(100, FixedHash());
  const SourceRow row = Acquire(table, Ipv4(7));
  CHECK(Acquire(table, Ipv4(7)) == row);
  CHECK(Acquire(table, Ipv4(8)) != row);
  CHECK(table.LiveSource(row) == Ipv4(7));
  CHECK_FALSE(table.Retire(row));
}

TEST_CASE("an IPv4 address and the IPv6 address of the same bytes are two sources") {
  SourceTable table(100, FixedHash());
  IpAddress ipv6 = Ipv4(7);
  ipv6.family = Family::kIpv6;
  CHECK(Acquire(table, Ipv4(7)) != Acquire(table, ipv6));
}

TEST_CASE("a full table turns the next source away and keeps the ones it has") {
  SourceTable table(100, FixedHash());
  for (std::uint32_t i = 0; i < 100; ++i) REQUIRE(Acquire(table, Ipv4(i)) != kNoSourceRow);
  CHECK(Acquire(table, Ipv4(100)) == kNoSourceRow);
  CHECK(Acquire(table, Ipv4(42)) != kNoSourceRow);
}

TEST_CASE("a retired row serves another source, of any shard, and starts at zero") {
  SourceTable table(100, FixedHash());
  std::vector<SourceRow> rows;
  for (std::uint32_t i = 0; i < 100; ++i) rows.push_back(Acquire(table, Ipv4(i)));
  table.Add(rows[50], 0, {.connections = 3, .unreplied = -1, .opened = 5, .closed = 6, .destination_ports = 2});
  table.Release(rows[50]);
  REQUIRE(table.Retire(rows[50]));
  CHECK_FALSE(table.LiveSource(rows[50]));
  CHECK(Acquire(table, Ipv4(200)) == kNoSourceRow);  // not before a flip has passed
  table.FreeRetired();
  const SourceRow reused = Acquire(table, Ipv4(200));
  CHECK(reused == rows[50]);
  CHECK(table.TakeLane(reused, 0).IsZero());
  CHECK(table.row_count() == 100);
}

TEST_CASE("a source that comes back after its row was retired gets a fresh one") {
  SourceTable table(100, FixedHash());
  const SourceRow first = Acquire(table, Ipv4(1));
  table.Release(first);
  REQUIRE(table.Retire(first));
  const SourceRow second = Acquire(table, Ipv4(1));
  CHECK(second != first);
  CHECK(table.LiveSource(second) == Ipv4(1));
}

TEST_CASE("rows leave the middle of a chain as well as its head") {
  SourceTable table(1000, FixedHash());  // few buckets: chains are longer than one
  std::vector<SourceRow> rows;
  for (std::uint32_t i = 0; i < 1000; ++i) rows.push_back(Acquire(table, Ipv4(i)));
  for (std::uint32_t i = 0; i < 1000; i += 2) {
    table.Release(rows[i]);
    REQUIRE(table.Retire(rows[i]));
  }
  table.FreeRetired();
  for (std::uint32_t i = 1; i < 1000; i += 2) CHECK(Acquire(table, Ipv4(i)) == rows[i]);
}

TEST_CASE("a lane holds signed and unsigned sums of many changes side by side") {
  SourceTable table(10, FixedHash());
  const SourceRow row = Acquire(table, Ipv4(1));
  for (int i = 0; i < 1000; ++i) table.Add(row, 1, {.connections = -1, .unreplied = 2, .opened = 3, .closed = 4});
  for (int i = 0; i < 300; ++i) table.Add(row, 1, {.connections = 1, .unreplied = -9, .destination_ports = -1});
  const SourceDelta delta = table.TakeLane(row, 1);
  CHECK(delta.connections == -700);
  CHECK(delta.unreplied == 2000 - 2700);
  CHECK(delta.opened == 3000);
  CHECK(delta.closed == 4000);
  CHECK(delta.destination_ports == -300);
  CHECK(table.TakeLane(row, 1).IsZero());
  CHECK(table.TakeLane(row, 0).IsZero());
}
