#include "collectors/drops/recent_drops.h"

#include <functional>
#include <vector>

#include "collectors/drops/drop_tally.h"
#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

IpAddress Address(const char* text) { return IpAddress::Parse(text).value(); }

IpAddress Numbered(std::uint32_t number) {
  IpAddress address;
  for (unsigned i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return address;
}

DropKey Key(const IpAddress& source, const char* destination, std::uint16_t port) {
  DropKey key;
  key.source = source;
  key.destination = Address(destination);
  key.protocol = 17;
  key.destination_port = port;
  key.hooks = HookSet(HookSet::kInput);
  return key;
}
DropKey Key(const char* source, const char* destination, std::uint16_t port) {
  return Key(Address(source), destination, port);
}

constexpr RecentDrops::Time kStart{1h};

class Told {
 public:
  void Add(const DropKey& key, std::uint64_t packets, std::chrono::seconds at = 0s, RuleName rule = 0) {
    drops.Add(key, DropVia::kEbpf, rule, packets, {kStart + at, kStart + at});
  }
  std::vector<RecentDrop> All() const {
    std::vector<RecentDrop> all;
    drops.ForEach([&](const RecentDrop& drop, RuleName) { all.push_back(drop); });
    return all;
  }
  std::uint64_t PacketsOf(const char* source) const {
    std::uint64_t packets = 0;
    for (const RecentDrop& drop : All()) packets += drop.ends.source == Address(source) ? drop.packets : 0;
    return packets;
  }
  std::uint64_t Packets() const {
    std::uint64_t packets = 0;
    for (const RecentDrop& drop : All()) packets += drop.packets;
    return packets;
  }

  RecentDrops drops{KeyedHash::WithRandomSecret()};
};

}  // namespace

TEST_CASE("a tuple has one row, with its first and last time") {
  Told told;
  told.Add(Key("10.0.0.1", "192.0.2.1", 80), 2, 5s);
  told.Add(Key("10.0.0.1", "192.0.2.1", 80), 3, 9s);
  told.Add(Key("10.0.0.1", "192.0.2.1", 80), 1, 3s);
  const auto rows = told.All();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].packets == 6);
  CHECK(rows[0].first == kStart + 3s);
  CHECK(rows[0].last == kStart + 9s);
}

TEST_CASE("whatever of a drop differs makes another row") {
  Told told;
  const DropKey key = Key("10.0.0.1", "192.0.2.1", 80);
  told.Add(key, 1);
  told.Add(key, 1, 0s, 7);
  for (const auto& change : std::vector<std::function<void(DropKey&)>>{
           [](DropKey& k) { k.source = Address("10.0.0.2"); }, [](DropKey& k) { k.destination = Address("192.0.2.2"); },
           [](DropKey& k) { k.destination.reset(); }, [](DropKey& k) { k.destination_port = 81; },
           [](DropKey& k) { k.protocol = 6; }, [](DropKey& k) { k.icmp_type = 8; },
           [](DropKey& k) { k.hooks = HookSet(HookSet::kForward); }, [](DropKey& k) { k.in_interface = 3; }}) {
    DropKey other = key;
    change(other);
    told.Add(other, 1);
  }
  CHECK(told.drops.size() == 10);
}

TEST_CASE("a packet of a translated connection is the client's, for whom it wanted") {
  Told told;
  DropKey key = Key("10.0.0.1", "192.0.2.1", 8080);
  key.original = DropEnds{Address("172.16.0.9"), Address("203.0.113.1"), 80};
  told.Add(key, 4);
  const auto rows = told.All();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].ends == *key.original);
}

TEST_CASE("what was dropped longer ago than is told is forgotten, and not counted as turned away") {
  Told told;
  told.Add(Key("10.0.0.1", "192.0.2.1", 80), 1);
  told.Add(Key("10.0.0.2", "192.0.2.1", 80), 1, 60s);
  told.drops.EndRound(kStart + RecentDrops::kFor);
  CHECK(told.drops.size() == 2);
  told.drops.EndRound(kStart + RecentDrops::kFor + 2s);
  CHECK(told.PacketsOf("10.0.0.1") == 0);
  CHECK(told.PacketsOf("10.0.0.2") == 1);
  CHECK(told.drops.turned_away() == 0);
}

TEST_CASE("under ever other names the lightest make room, each packet is told or counted, and regulars stay") {
  Told told;
  told.Add(Key("10.0.0.1", "192.0.2.1", 80), 5);
  told.Add(Key("10.0.0.2", "192.0.2.1", 80), 1);
  told.drops.set_regulars({Address("10.0.0.2")});
  const std::uint32_t forged = 10 * RecentDrops::kRowsMax;
  for (std::uint32_t i = 0; i < forged; ++i) {
    told.Add(Key(Numbered(0xac100000 + i), "192.0.2.1", 80), 1, 1s);
    REQUIRE(told.drops.size() <= 2 * RecentDrops::kRowsMax);
  }
  told.drops.EndRound(kStart + 2s);
  CHECK(told.drops.size() == RecentDrops::kRowsMax);
  CHECK(told.PacketsOf("10.0.0.1") == 5);
  CHECK(told.PacketsOf("10.0.0.2") == 1);
  CHECK(told.Packets() + told.drops.turned_away() == forged + 6);
}

TEST_CASE("rows of a rule whose name is forgotten go on as of none") {
  Told told;
  told.Add(Key("10.0.0.1", "192.0.2.1", 80), 2, 1s, 1);
  told.Add(Key("10.0.0.1", "192.0.2.1", 80), 3, 2s, 2);
  RuleNames::Names in_use(3);
  told.drops.Mark(in_use);
  CHECK(in_use == RuleNames::Names{false, true, true});
  told.drops.Forget({false, true, true});
  const auto rows = told.All();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].packets == 5);
}

TEST_CASE("what waits for its rule is told without one, and with it later; each packet once") {
  DropTally tally({}, KeyedHash::WithRandomSecret());
  tally.set_ebpf_counts(true);
  tally.set_attributes(true);
  auto now = kStart;
  const auto all = [&] { return tally.Recent([](const RecentDrop&) { return true; }); };
  tally.AddCounted({Key("10.0.0.1", "192.0.2.1", 80), 3});
  tally.EndRound(now);
  tally.EndRound(now);
  REQUIRE(all().size() == 1);
  CHECK(all()[0].rule.empty());
  CHECK(all()[0].packets == 3);
  tally.Attribute(
      [](const DropKey&, std::uint64_t) { return DropTally::NamedRule("rule", HookSet(HookSet::kForward)); }, now);
  REQUIRE(all().size() == 1);
  CHECK(all()[0].rule == "rule");
  CHECK(all()[0].hooks == HookSet(HookSet::kForward));
  CHECK(all()[0].packets == 3);
}

TEST_CASE("a scan of more destinations than may wait is told whole, and still gets its rule by source") {
  DropTally tally({}, KeyedHash::WithRandomSecret());
  tally.set_ebpf_counts(true);
  tally.set_attributes(true);
  auto now = kStart;
  const std::uint32_t scanned = 3 * DropTally::kUnattributedMax;
  for (std::uint32_t i = 0; i < scanned; ++i) {
    DropKey key = Key("10.0.0.1", "192.0.2.1", 23);
    key.destination = Numbered(0xac100000 + i);
    tally.AddCounted({key, 1});
  }
  tally.EndRound(now);
  tally.EndRound(now);
  std::size_t asked = 0;
  tally.Attribute(
      [&](const DropKey&, std::uint64_t) {
        ++asked;
        return DropTally::NamedRule("rule");
      },
      now);
  CHECK(asked == DropTally::kUnattributedMax + 1);
  const auto drops = tally.Find(Address("10.0.0.1"), now);
  REQUIRE(drops);
  REQUIRE(drops->shares.size() == 1);
  CHECK(drops->shares[0].rule == "rule");
  CHECK(drops->shares[0].packets == scanned);
  std::uint64_t told = 0;
  for (const RecentDrop& drop : tally.Recent([](const RecentDrop&) { return true; })) told += drop.packets;
  tally.EndRound(now);
  CHECK(told + tally.figures().recent_turned_away == scanned);
}
