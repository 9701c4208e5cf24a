#include "collectors/conntrack/flows/flow_hashes.h"

#include <random>
#include <set>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("the hashes of flows are those that a set would hold, whatever comes and goes") {
  // Few homes and parts, so that many meet; and hashes that are all over.
  const std::uint64_t mask = GENERATE(0xc000'0000'f000'000e, ~std::uint64_t{0});
  std::mt19937_64 random(7);
  FlowHashes flows;
  std::set<std::uint64_t> model;
  std::vector<std::uint64_t> ever = {0, ~std::uint64_t{0}};
  for (int i = 0; i < 30'000; ++i) {
    if (random() % 2 == 0) ever.push_back(random() & mask);
    const std::uint64_t hash = ever[random() % ever.size()];
    if (random() % 3 != 0) {
      flows.Insert(hash);
      model.insert(hash);
    } else {
      flows.Erase(hash);
      model.erase(hash);
    }
    const std::uint64_t asked = ever[random() % ever.size()];
    REQUIRE(flows.Contains(asked) == model.contains(asked));
    REQUIRE(flows.size() == model.size());
  }
  for (const std::uint64_t hash : ever) REQUIRE(flows.Contains(hash) == model.contains(hash));
  flows.Clear();
  CHECK(flows.size() == 0);
  CHECK(flows.memory_bytes() == 0);
  CHECK_FALSE(flows.Contains(ever.back()));
}

TEST_CASE("the hashes of a million flows take at most 17 MB") {
  std::mt19937_64 random(11);
  FlowHashes flows;
  for (int i = 0; i < 1'000'000; ++i) flows.Insert(random());
  CHECK(flows.size() == 1'000'000);
  CHECK(flows.memory_bytes() < 17'000'000);
}
