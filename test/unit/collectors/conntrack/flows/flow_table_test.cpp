#include "collectors/conntrack/flows/flow_table.h"

#include <map>
#include <random>

#include "test/support/catch.h"

using namespace conntally;

namespace {

KeyedHash FixedHash() { return KeyedHash(KeyedHash::Secret{4}); }

FlowKey KeyNumber(std::uint32_t n) {
  FlowKey key;
  key.family = n % 3 == 0 ? Family::kIpv6 : Family::kIpv4;
  for (std::size_t i = 0; i < 4; ++i) key.source[i] = static_cast<std::uint8_t>(n >> (8 * i));
  key.destination[3] = static_cast<std::uint8_t>(n % 5);
  if (key.family == Family::kIpv6) key.source[15] = key.destination[15] = 1;
  key.source_port = static_cast<std::uint16_t>(n * 7);
  key.destination_port = static_cast<std::uint16_t>(n % 11);
  key.protocol = n % 2 == 0 ? 6 : 17;
  return key;
}

Flow* Insert(FlowTable& table, const FlowKey& key, std::uint32_t id = 1) {
  Flow* flow = table.Insert(key, table.Hash(key));
  if (flow != nullptr) flow->id = id;
  return flow;
}
Flow* Find(FlowTable& table, const FlowKey& key) { return table.Find(key, table.Hash(key)); }
void Erase(FlowTable& table, const FlowKey& key, FlowHash hash) {
  table.Erase(*table.Find(key, hash), key.family, hash);
}
void Erase(FlowTable& table, const FlowKey& key) { Erase(table, key, table.Hash(key)); }

using Model = std::map<FlowKey, std::uint32_t>;

void CheckHoldsExactly(FlowTable& table, const Model& model, std::uint32_t numbers) {
  REQUIRE(table.size() == model.size());
  for (std::uint32_t n = 0; n < numbers; ++n) {
    const FlowKey key = KeyNumber(n);
    const Flow* flow = Find(table, key);
    const auto expected = model.find(key);
    REQUIRE((flow != nullptr) == (expected != model.end()));
    if (flow == nullptr) continue;
    REQUIRE(flow->id == expected->second);
    REQUIRE(flow->protocol == key.protocol);
    REQUIRE(flow->zone == key.zone);
  }
}

// Sweeps every partition; returns how often each id was visited.
std::map<std::uint32_t, unsigned> Sweep(FlowTable& table, const std::function<bool(std::uint32_t id)>& erase) {
  std::map<std::uint32_t, unsigned> visits;
  for (std::size_t partition = 0; partition < FlowTable::kPartitions; ++partition) {
    table.Sweep(partition, [&](const FlowKey&, Flow& flow) {
      ++visits[flow.id];
      return erase(flow.id);
    });
  }
  return visits;
}

}  // namespace

TEST_CASE("the table holds what a map would, whatever is inserted, erased and swept") {
  constexpr std::uint32_t kNumbers = 4000;
  for (const unsigned seed : {1U, 2U, 3U}) {
    std::mt19937 random(seed);
    FlowTable table(kNumbers, FixedHash());
    Model model;
    for (int step = 0; step < 60'000; ++step) {
      // Waves, so that the partitions grow and shrink.
      const bool filling = step / 6000 % 2 == 0;
      const FlowKey key = KeyNumber(static_cast<std::uint32_t>(random() % kNumbers));
      const bool present = model.contains(key);
      REQUIRE((Find(table, key) != nullptr) == present);
      if (!present && (filling || random() % 8 == 0)) {
        const auto id = static_cast<std::uint32_t>(random());
        REQUIRE(Insert(table, key, id) != nullptr);
        model[key] = id;
      } else if (present && (!filling || random() % 8 == 0)) {
        Erase(table, key);
        model.erase(key);
      }
      if (step % 5000 == 4999) {
        const auto remainder = static_cast<std::uint32_t>(random() % 3);
        Sweep(table, [&](std::uint32_t id) { return id % 3 == remainder; });
        std::erase_if(model, [&](const auto& entry) { return entry.second % 3 == remainder; });
        CheckHoldsExactly(table, model, kNumbers);
      }
    }
    CheckHoldsExactly(table, model, kNumbers);
  }
}

TEST_CASE("each field of the key makes another flow") {
  FlowKey key;
  key.source = {192, 0, 2, 1};
  key.destination = {192, 0, 2, 2};
  key.source_port = 1000;
  key.destination_port = 80;
  key.protocol = 6;
  std::vector<FlowKey> keys(8, key);
  keys[1].source[3] = 9;
  keys[2].destination[3] = 9;
  keys[3].source_port = 9;
  keys[4].destination_port = 9;
  keys[5].protocol = 17;
  keys[6].zone = 9;
  keys[7].family = Family::kIpv6;
  FlowTable table(100, FixedHash());
  std::uint32_t id = 0;
  for (const FlowKey& each : keys) {
    CHECK(Find(table, each) == nullptr);
    Insert(table, each, ++id);
  }
  id = 0;
  for (const FlowKey& each : keys) CHECK(Find(table, each)->id == ++id);
}

// The slot and the partition are found by parts of the hash; what they hold is compared whole.
TEST_CASE("flows of one and the same hash are told apart") {
  FlowTable table(100, FixedHash());
  constexpr FlowHash kSame = 0x1234'5678'0000'0000;  // and the slot's half is the 0 that must not mean free
  for (std::uint32_t n = 1; n < 60; n += 3) table.Insert(KeyNumber(n), kSame)->id = n;
  for (std::uint32_t n = 1; n < 60; n += 3) REQUIRE(table.Find(KeyNumber(n), kSame)->id == n);
  for (std::uint32_t n = 1; n < 60; n += 6) Erase(table, KeyNumber(n), kSame);
  for (std::uint32_t n = 1; n < 60; n += 3) CHECK((table.Find(KeyNumber(n), kSame) != nullptr) == (n % 6 != 1));
}

TEST_CASE("no more than connections_max come in, of both families together, and room that is made is used") {
  FlowTable table(10, FixedHash());
  for (std::uint32_t n = 0; n < 10; ++n) REQUIRE(Insert(table, KeyNumber(n)) != nullptr);
  CHECK(Insert(table, KeyNumber(10)) == nullptr);
  CHECK(Find(table, KeyNumber(10)) == nullptr);
  CHECK(table.size() == 10);
  Erase(table, KeyNumber(3));
  CHECK(Insert(table, KeyNumber(10)) != nullptr);
  table.set_connections_max(5);  // keeps what it has
  CHECK(table.size() == 10);
  CHECK(Insert(table, KeyNumber(11)) == nullptr);
  table.set_connections_max(11);
  CHECK(Insert(table, KeyNumber(11)) != nullptr);
}

TEST_CASE("memory is 40 to 60 bytes a connection over IPv4, and is given back") {
  FlowTable table(1'000'000, FixedHash());
  std::vector<FlowKey> keys;
  for (std::uint32_t n = 0; keys.size() < 200'000; ++n) {
    if (KeyNumber(n).family == Family::kIpv4) keys.push_back(KeyNumber(n));
  }
  for (const FlowKey& key : keys) Insert(table, key);
  CHECK(table.memory_bytes() > 40 * keys.size());
  CHECK(table.memory_bytes() < 61 * keys.size());
  const std::size_t full_bytes = table.memory_bytes();
  for (std::size_t i = 1000; i < keys.size(); ++i) Erase(table, keys[i]);
  CHECK(table.memory_bytes() * 20 < full_bytes);
  CHECK(Find(table, keys[999]) != nullptr);
}

TEST_CASE("a sweep visits every flow, and shrinks what it emptied") {
  FlowTable table(100'000, FixedHash());
  for (std::uint32_t n = 0; n < 30'000; ++n) Insert(table, KeyNumber(n), n);
  const std::size_t full_bytes = table.memory_bytes();
  const auto visits = Sweep(table, [](std::uint32_t id) { return id % 100 != 0; });
  CHECK(visits.size() == 30'000);
  CHECK(table.size() == 300);
  CHECK(table.memory_bytes() * 10 < full_bytes);
  for (std::uint32_t n = 0; n < 30'000; ++n) REQUIRE((Find(table, KeyNumber(n)) != nullptr) == (n % 100 == 0));
}
