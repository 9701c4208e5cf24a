#include "collectors/tally/space_saving.h"

#include <map>
#include <random>

#include "test/support/catch.h"

using conntally::IpAddress;
using conntally::KeyedHash;
using conntally::SpaceSaving;

namespace {

struct Nothing {};
using Hitters = SpaceSaving<Nothing>;

IpAddress Numbered(std::uint32_t number) {
  IpAddress address;
  for (std::size_t i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return address;
}

// What the paper promises, of every entry and every source.
void CheckGuarantees(const Hitters& hitters, const std::map<IpAddress, std::uint64_t>& exact,
                     std::uint64_t entries_max) {
  std::uint64_t packets = 0;
  for (const auto& [source, count] : exact) packets += count;
  std::uint64_t counted = 0;
  std::size_t wrong = 0;
  hitters.ForEach([&](const Hitters::Entry& entry) {
    const std::uint64_t truth = exact.at(entry.source);
    wrong += entry.certain() > truth || truth > entry.count || entry.error > packets / entries_max;
    counted += entry.count;
  });
  CHECK(wrong == 0);
  CHECK(counted == packets);
  for (const auto& [source, count] : exact) {
    if (count > packets / entries_max) CHECK(hitters.Find(source) != nullptr);
  }
}

}  // namespace

TEST_CASE("while there is room every source is counted exactly") {
  Hitters hitters(100, KeyedHash::WithRandomSecret());
  for (std::uint32_t i = 0; i < 100; ++i) {
    for (std::uint32_t packet = 0; packet <= i; ++packet) hitters.Add(Numbered(i), 1 + i % 3);
  }
  CHECK(hitters.size() == 100);
  CHECK(hitters.evictions() == 0);
  for (std::uint32_t i = 0; i < 100; ++i) {
    CHECK(hitters.Find(Numbered(i))->count == std::uint64_t{i + 1} * (1 + i % 3));
    CHECK(hitters.Find(Numbered(i))->error == 0);
  }
  CHECK(hitters.Find(Numbered(100)) == nullptr);
}

TEST_CASE("an address of the other family with the same bytes is another source") {
  Hitters hitters(4, KeyedHash::WithRandomSecret());
  IpAddress ipv6 = Numbered(7);
  ipv6.family = conntally::Family::kIpv6;
  hitters.Add(Numbered(7), 3);
  hitters.Add(ipv6, 5);
  CHECK(hitters.Find(Numbered(7))->count == 3);
  CHECK(hitters.Find(ipv6)->count == 5);
}

TEST_CASE("past its bound it holds whoever has more than N/m, with true error bounds") {
  for (const std::uint32_t entries_max : {1U, 2U, 7U, 64U, 500U}) {
    for (const std::uint64_t packets_max : {1U, 10U, 1000U}) {
      std::mt19937 random(entries_max);
      Hitters hitters(entries_max, KeyedHash::WithRandomSecret());
      std::map<IpAddress, std::uint64_t> exact;
      for (int i = 0; i < 20'000; ++i) {
        // Skewed: low numbers are frequent.
        const double uniform = std::uniform_real_distribution<>(0, 1)(random);
        const auto source = Numbered(static_cast<std::uint32_t>(3000 * uniform * uniform * uniform * uniform));
        const std::uint64_t packets = std::uniform_int_distribution<std::uint64_t>(1, packets_max)(random);
        hitters.Add(source, packets);
        exact[source] += packets;
      }
      CHECK(hitters.size() <= entries_max);
      CheckGuarantees(hitters, exact, entries_max);
    }
  }
}

TEST_CASE("ten million sources of one packet each stay within the bound, and heavy ones are found among them") {
  constexpr std::uint32_t kEntries = 4096;
  Hitters hitters(kEntries, KeyedHash::WithRandomSecret());
  for (std::uint32_t i = 0; i < 10'000'000; ++i) {
    hitters.Add(Numbered(0x0A000000U + i), 1);
    if (i % 1000 == 0) hitters.Add(Numbered(i % 3000 / 1000), 10);
  }
  CHECK(hitters.size() == kEntries);
  for (std::uint32_t heavy = 0; heavy < 3; ++heavy) {
    const Hitters::Entry* entry = hitters.Find(Numbered(heavy));
    REQUIRE(entry != nullptr);
    CHECK(entry->count >= 33'330);
    CHECK(entry->certain() <= 33'340);
  }
}

TEST_CASE("what is kept with a source begins anew with the next source of its entry") {
  SpaceSaving<int> hitters(1, KeyedHash::WithRandomSecret());
  hitters.Add(Numbered(1), 2).payload = 42;
  CHECK(hitters.Add(Numbered(1), 1).payload == 42);
  const auto& entry = hitters.Add(Numbered(2), 1);
  CHECK(entry.payload == 0);
  CHECK(entry.count == 4);
  CHECK(entry.error == 3);
  CHECK(hitters.evictions() == 1);
}
