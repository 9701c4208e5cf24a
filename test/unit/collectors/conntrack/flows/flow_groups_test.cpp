// Connections by named network: what each view says of them, beside what the table holds.
#include <array>
#include <numeric>
#include <random>

#include "test/unit/collectors/conntrack/flows/tracked_tally.h"

using namespace conntally;
using namespace conntally::test;

namespace {

using Networks = std::vector<std::pair<const char*, GroupIndex>>;

FlowGroups::Networks Laid(const Networks& texts) {
  std::vector<NetworkGroups::Network> networks;
  for (const auto& [text, group] : texts) networks.push_back({*Prefix::Parse(text), group});
  return std::make_shared<const NetworkGroups>(networks);
}

struct Grouped : TrackedTally {
  using TrackedTally::TrackedTally;

  void Ask(const Networks& texts) { tracker.groups().Ask(Laid(texts)); }
  bool MoveStep() {
    TallyWriter::Batch batch(writer);
    return tracker.groups().Step(batch, tracker.flows());
  }
  void Move() {
    while (MoveStep()) continue;
  }
  GroupFigures Group(GroupIndex group) { return Totals().groups[group]; }
};

std::uint64_t Sum(const std::array<std::uint64_t, 256>& by_protocol) {
  return std::accumulate(by_protocol.begin(), by_protocol.end(), std::uint64_t{0});
}

}  // namespace

TEST_CASE("a connection is counted in its source's network from its opening to its end") {
  Grouped t;
  t.Ask({{"10.1.0.0/16", 1}, {"10.1.2.0/24", 2}, {"2001:db8::/32", 1}});
  t.Move();
  t.StartOnEmptyKernel();
  t.New(Key("10.1.0.1", 80), 1);
  t.New(Key("10.1.2.1", 80), 2);
  t.New(Key("2001:db8::1", 80), 3);
  t.New(Key("192.0.2.1", 80), 4);
  CHECK(t.Group(1).connections == 2);
  CHECK(t.Group(1).unreplied == 2);
  CHECK(t.Group(2).opened == 1);
  CHECK(t.Group(kOtherGroup).connections == 0);
  CHECK(t.Totals().unreplied == 4);
  t.Update(Key("10.1.0.1", 80), 1, kReplied);
  CHECK(t.Group(1).unreplied == 1);
  CHECK(t.Totals().unreplied == 3);
  t.Destroy(Key("10.1.0.1", 80), 1);
  t.Destroy(Key("2001:db8::1", 80), 3);
  CHECK(t.Group(1).connections == 0);
  CHECK(t.Group(1).unreplied == 0);
  CHECK(t.Group(1).opened == 2);
  CHECK(t.Group(1).closed == 2);
  CHECK(t.Group(2).connections == 1);
}

TEST_CASE("networks finer than what sources are grouped by are told apart all the same") {
  Grouped t({.sources = 10, .grouping = {24, 64}});
  t.Ask({{"10.1.0.0/28", 1}, {"10.1.0.16/28", 2}});
  t.Move();
  t.StartOnEmptyKernel();
  t.New(Key("10.1.0.1", 80), 1);
  t.New(Key("10.1.0.17", 80), 2);
  t.New(Key("10.1.0.18", 80), 3);
  t.New(Key("10.1.0.200", 80), 4);
  CHECK(t.Group(1).connections == 1);
  CHECK(t.Group(2).connections == 2);
}

TEST_CASE("connections move to new networks, and what was counted of them stays") {
  Grouped t;
  t.Ask({{"10.1.0.0/16", 1}});
  t.Move();
  t.StartOnEmptyKernel();
  for (std::uint16_t i = 0; i < 500; ++i) t.New(Key("10.1.0." + std::to_string(i % 250), i), i + 1U);
  t.Ask({{"10.1.0.0/25", 2}, {"10.1.0.128/25", 3}});
  while (t.MoveStep()) {
    const TotalFigures totals = t.Totals();
    REQUIRE(totals.groups[1].connections + totals.groups[2].connections + totals.groups[3].connections == 500);
  }
  CHECK(t.Group(1).connections == 0);
  CHECK(t.Group(1).unreplied == 0);
  CHECK(t.Group(1).opened == 500);
  CHECK(t.Group(2).connections == 256);
  CHECK(t.Group(2).opened == 0);
  CHECK(t.Group(3).connections == 244);
  t.Destroy(Key("10.1.0.1", 1), 2);
  CHECK(t.Group(1).closed == 0);
  CHECK(t.Group(2).closed == 1);
  t.Ask({});
  t.Move();
  CHECK(t.Group(2).connections == 0);
  CHECK(t.Group(3).connections == 0);
  CHECK(t.Group(2).closed == 1);
}

TEST_CASE("connections beyond the bound are opened and closed in their network and held by none") {
  Grouped t({.sources = 10, .connections = 2});
  t.Ask({{"10.0.0.0/8", 1}});
  t.Move();
  t.StartOnEmptyKernel();
  for (std::uint16_t i = 1; i <= 5; ++i) t.New(Key("10.0.0.1", i), i);
  CHECK(t.Group(1).opened == 5);
  CHECK(t.Group(1).connections == 2);
  CHECK(t.Totals().ConnectionsSum() == 5);
  CHECK(t.Totals().unreplied == 2);
  for (std::uint16_t i = 1; i <= 5; ++i) t.Destroy(Key("10.0.0.1", i), i);
  CHECK(t.Group(1).closed == 5);
  CHECK(t.Group(1).connections == 0);
}

TEST_CASE("networks hold what the table holds of them, and never more than all, while they are moved about") {
  const std::uint32_t sources_max = GENERATE(3U, 1000U);
  Grouped t({.sources = sources_max, .connections = 10'000});
  std::mt19937 random(sources_max);
  const std::vector<Networks> configurations = {
      {{"10.0.0.0/8", 1}, {"10.0.0.0/29", 2}},
      {{"10.0.0.0/28", 2}, {"10.0.0.8/29", 1}, {"2001:db8::/64", 3}},
      {},
      {{"0.0.0.0/0", 4}, {"::/0", 4}},
  };
  const Networks* last = nullptr;
  std::array<GroupFigures, 5> before{};
  const auto key = [&] {
    const std::uint32_t i = random() % 64;
    FlowKey made = Key((i % 4 == 0 ? "2001:db8::" : "10.0.0.") + std::to_string(i % 16), static_cast<std::uint16_t>(i),
                       i % 3 == 0 ? kTcp : kUdp);
    return made;
  };
  std::uint32_t id = 0;
  bool dumping = false, sweeping = false;
  t.StartOnEmptyKernel();
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 12) {
      case 0:
      case 1:
      case 2: t.New(key(), ++id); break;
      case 3: t.Apply(Event(EventKind::kUpdate, key(), 0, random() % 2 ? kReplied : kUnreplied)); break;
      case 4:
      case 5: t.Apply(Event(EventKind::kDestroy, key(), 0)); break;
      case 6:
        if (dumping) t.Dumped(key(), 0, kReplied);
        break;
      case 7:
        if (random() % 40 == 0) t.Ask(*(last = &configurations[random() % configurations.size()]));
        break;
      case 8:
        if (dumping) {
          t.EndDump();
          sweeping = true;
        } else if (!sweeping) {
          t.tracker.BeginDump(DumpReason::kInterval);
        }
        dumping = !dumping && !sweeping;
        break;
      case 9:
        if (sweeping) t.SweepAll();
        sweeping = false;
        break;
      case 10: {
        TallyWriter::Batch batch(t.writer);
        t.tracker.AttributeStep(batch, t.now);
        break;
      }
      default: t.MoveStep(); break;
    }
    t.now.centiseconds += 3;
    const TotalFigures totals = t.Totals();
    std::array<std::int64_t, 5> connections{};
    std::int64_t unreplied = 0;
    const FlowGroups::Networks networks = last != nullptr ? Laid(*last) : Laid({});
    for (std::size_t partition = 0; partition < FlowTable::kPartitions; ++partition) {
      t.tracker.flows().Visit(partition, [&](const FlowKey& flow_key, const Flow& flow) {
        ++connections[networks->Of(flow_key.SourceAddress())];
        unreplied += !flow.replied;
      });
    }
    REQUIRE(totals.unreplied == unreplied);
    GroupFigures named;
    for (GroupIndex group = 1; group < 5; ++group) {
      const GroupFigures& now = totals.groups[group];
      REQUIRE(now.connections >= 0);
      REQUIRE(now.unreplied >= 0);
      REQUIRE(now.unreplied <= now.connections);
      REQUIRE(now.opened >= before[group].opened);
      REQUIRE(now.closed >= before[group].closed);
      if (!t.tracker.groups().wanted()) REQUIRE(now.connections == connections[group]);
      before[group] = now;
      named.connections += now.connections;
      named.unreplied += now.unreplied;
      named.opened += now.opened;
      named.closed += now.closed;
    }
    REQUIRE(named.connections <= totals.ConnectionsSum());
    REQUIRE(named.unreplied <= totals.unreplied);
    REQUIRE(named.opened <= Sum(totals.opened));
    REQUIRE(named.closed <= Sum(totals.closed));
  }
  CHECK(id > 1000);
  CHECK(before[1].opened > 100);
  CHECK(before[4].closed > 0);
}
