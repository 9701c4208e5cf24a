#include "collectors/drops/rule_shares.h"

#include <map>
#include <random>
#include <utility>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

struct Source {
  void Add(RuleName rule, std::uint64_t packets, DropVia via = DropVia::kEbpf) {
    sum += packets;
    turned_away += shares.Add(via, rule, packets, now);
  }
  std::map<std::pair<RuleName, DropVia>, std::uint64_t> All() const {
    std::map<std::pair<RuleName, DropVia>, std::uint64_t> all;
    shares.ForEach([&](RuleName rule, DropVia via, std::uint64_t packets) { all[{rule, via}] = packets; });
    return all;
  }
  std::uint64_t Of(RuleName rule, DropVia via = DropVia::kEbpf) const {
    const auto all = All();
    const auto found = all.find({rule, via});
    return found != all.end() ? found->second : 0;
  }
  std::uint64_t Sum() const {
    std::uint64_t all = 0;
    for (const auto& [which, packets] : All()) all += packets;
    return all;
  }
  RuleShares shares;
  RuleShares::Time now = RuleShares::Time{} + 1000s;
  std::uint64_t sum = 0;
  std::uint64_t turned_away = 0;
};

constexpr RuleName kFlood = 1'000'000;

}  // namespace

TEST_CASE("one packet at each of many rules takes no name from the rule that drops the flood") {
  for (const RuleName rules : {4U, 8U, 9U, 30U, 5000U}) {
    Source source;
    for (RuleName rule = 1; rule <= rules; ++rule) source.Add(rule, 1);
    source.Add(kFlood, 500);
    source.Add(kFlood, 500);
    CHECK(source.Of(kFlood) == 1000);
    CHECK(source.Sum() == rules + 1000);
  }
}

TEST_CASE("a flood that is told of packet by packet is named before the rest of it") {
  Source source;
  for (RuleName rule = 1; rule <= 100; ++rule) source.Add(rule, 1);
  for (int i = 0; i < 1000; ++i) source.Add(kFlood, 1);
  CHECK(source.Of(kFlood) >= 998);
}

TEST_CASE("a flood is named though thousands of other rules drop beside it") {
  Source source;
  RuleName other = 100;
  for (int i = 0; i < 5000; ++i, source.now += 10ms) {
    source.Add(other++, 1);
    if (i % 4 == 0) source.Add(kFlood, 3);
  }
  CHECK(source.Of(kFlood) > 3000);
}

TEST_CASE("what drops now is named beside what dropped most long ago") {
  Source source;
  for (RuleName rule = 1; rule <= RuleShares::kNamesMax; ++rule) source.Add(rule, 1'000'000 + rule);
  source.now += 1h;
  source.Add(kFlood, 6);
  source.Add(kFlood, 6);
  CHECK(source.Of(kFlood) == 6);
  for (RuleName rule = RuleShares::kNamesMax; rule > RuleShares::kNamesMax - RuleShares::kMostMax; --rule) {
    CHECK(source.Of(rule) == 1'000'000 + rule);
  }
  CHECK(source.Sum() == source.sum);
  CHECK(source.shares.forgotten() > 1'000'000);
}

TEST_CASE("a rule that drops a little now and then is named once it has dropped most") {
  Source source;
  for (RuleName rule = 1; rule <= 100; ++rule) source.Add(rule, 9);
  for (int i = 0; i < 100; ++i, source.now += 10min) source.Add(kFlood, 1);
  CHECK(source.Of(kFlood) == 91);
}

TEST_CASE("rules that drop alike do not take each other's names in turn") {
  Source source;
  for (int i = 0; i < 1000; ++i, source.now += 100ms) {
    for (RuleName rule = 1; rule <= 40; ++rule) source.Add(rule, 1);
  }
  CHECK(source.shares.forgotten() == 0);
}

TEST_CASE("packets of a rule told of in two ways are shares of their own, and those of no rule are of each way") {
  Source source;
  source.Add(1, 2);
  source.Add(1, 3, DropVia::kNflog);
  source.Add(0, 4, DropVia::kSet);
  source.Add(0, 5);
  CHECK(source.All() ==
        decltype(source.All()){
            {{1, DropVia::kEbpf}, 2}, {{1, DropVia::kNflog}, 3}, {{0, DropVia::kSet}, 4}, {{0, DropVia::kEbpf}, 5}});
}

TEST_CASE("the sum is exact at any time, a share rises while it is there, and what lost its name is counted once") {
  std::mt19937 random(1);
  Source source;
  auto before = source.All();
  for (int i = 0; i < 20'000; ++i, source.now += 50ms) {
    const RuleName favourite = static_cast<RuleName>(i / 200);
    source.Add(random() % 2 == 0 ? favourite : static_cast<RuleName>(random() % 300), 1 + random() % 5,
               static_cast<DropVia>(random() % 2));
    const auto after = source.All();
    for (const auto& [which, packets] : before) {
      if (const auto found = after.find(which); found != after.end()) REQUIRE(found->second >= packets);
    }
    REQUIRE(after.size() <= RuleShares::kNamesMax + kDropVias);
    REQUIRE(source.Sum() == source.sum);
    before = after;
  }
  CHECK(source.shares.forgotten() > 0);
  CHECK(source.turned_away <= source.sum);
}

TEST_CASE("a name that is forgotten leaves its packets as of no rule") {
  Source source;
  for (RuleName rule = 1; rule <= 12; ++rule) source.Add(rule, 2);
  RuleNames::Names names(20);
  source.shares.Mark(names);
  for (RuleName rule = 1; rule <= 12; ++rule) CHECK(names[rule]);
  RuleNames::Names forgotten(20);
  forgotten[1] = forgotten[12] = true;
  CHECK(source.shares.Forget(forgotten) == 2);
  CHECK(source.Of(1) == 0);
  CHECK(source.Of(0) == 10);
  CHECK(source.shares.forgotten() == 2);
}
