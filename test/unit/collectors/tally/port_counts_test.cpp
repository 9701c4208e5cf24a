#include "collectors/tally/port_counts.h"

#include <map>
#include <random>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("a port is new to a source with its first connection, and gone with its last") {
  PortCounts ports(42);
  CHECK(ports.Add(1, 80));
  CHECK_FALSE(ports.Add(1, 80));
  CHECK(ports.Add(2, 80));
  CHECK(ports.Add(1, 81));
  CHECK_FALSE(ports.Remove(1, 80));
  CHECK(ports.Remove(1, 80));
  CHECK(ports.Add(1, 80));
}

TEST_CASE("row 0 and port 0 are a row and a port like others") {
  PortCounts ports(42);
  CHECK(ports.Add(0, 0));
  CHECK_FALSE(ports.Add(0, 0));
  CHECK(ports.Add(0, 65535));
  CHECK(ports.Add(1, 0));  // the next key after (0, 65535)
  CHECK_FALSE(ports.Remove(0, 0));
  CHECK(ports.Remove(0, 0));
  CHECK(ports.Remove(0, 65535));
  CHECK(ports.Remove(1, 0));
}

TEST_CASE("removing what is not there changes nothing") {
  PortCounts ports(42);
  CHECK_FALSE(ports.Remove(1, 80));
  CHECK(ports.Add(1, 80));
}

TEST_CASE("more connections than a slot counts are counted all the same") {
  PortCounts ports(42);
  constexpr int kMany = 200'000;
  for (int i = 0; i < kMany; ++i) REQUIRE(ports.Add(7, 443) == (i == 0));
  CHECK(ports.Add(7, 444));
  for (int i = kMany - 1; i >= 0; --i) REQUIRE(ports.Remove(7, 443) == (i == 0));
  CHECK_FALSE(ports.Remove(7, 443));
  CHECK(ports.Remove(7, 444));
}

TEST_CASE("ports are counted as a map would, while the table grows and shrinks") {
  for (const std::uint64_t secret :
       {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX, std::uint64_t{0x9E3779B97F4A7C15}}) {
    std::mt19937 random(7);
    PortCounts ports(secret);
    const std::size_t empty_bytes = ports.memory_bytes();
    std::size_t most_bytes = 0;
    std::map<std::pair<SourceRow, std::uint16_t>, unsigned> model;
    for (int step = 0; step < 200'000; ++step) {
      const auto row = static_cast<SourceRow>(random() % 100);
      const auto port = static_cast<std::uint16_t>(random() % 50);
      const bool filling = step / 25'000 % 2 == 0;
      unsigned& count = model[{row, port}];
      if (filling ? random() % 4 != 0 : random() % 16 == 0) {
        REQUIRE(ports.Add(row, port) == (count++ == 0));
      } else if (count > 0) {
        REQUIRE(ports.Remove(row, port) == (--count == 0));
      }
      most_bytes = std::max(most_bytes, ports.memory_bytes());
    }
    for (auto& [key, count] : model) {
      for (; count > 0; --count) REQUIRE(ports.Remove(key.first, key.second) == (count == 1));
    }
    CHECK(most_bytes > empty_bytes);
    CHECK(ports.memory_bytes() == empty_bytes);
  }
}
