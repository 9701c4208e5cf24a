#include "daemon/drops/set_drops.h"

#include <algorithm>

#include "test/support/catch.h"
#include "test/unit/daemon/limits/written_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

Rule Counting(const std::string& text, const std::string& set, Verdict verdict = Verdict::kDrop,
              std::uint64_t handle = 4) {
  Rule rule = Rule_(text, verdict, {FromSet(set)});
  rule.counting_set = set;
  rule.handle = handle;
  return rule;
}

AddressSet Counted(const std::string& name, const std::vector<std::pair<std::string, std::uint64_t>>& packets) {
  AddressSet set = SetOf(name, {});
  for (const auto& [prefix, count] : packets)
    set.elements.push_back({RangeOf(Prefix::Parse(prefix).value()), RuleCounter{count, 0}, false});
  return set;
}

using Drops = std::vector<std::string>;

// "SOURCE PACKETS", of one reading after the other.
struct Readings {
  Drops Take(const std::vector<Rule>& rules, const AddressSet& set) {
    WrittenRules written;
    written.Chain("input", "input", rules).Set(set);
    Drops drops;
    for (const SetCountedDrop& drop : sets.Take(*written.Figures(RuleBackend::kNftables))) {
      drops.push_back(drop.source.ToString() + " " + std::to_string(drop.packets));
    }
    std::sort(drops.begin(), drops.end());
    return drops;
  }
  SetDrops sets{SourceGrouping()};
};

const std::vector<Rule> kRules = {Counting("ip saddr @bad drop", "bad")};

}  // namespace

TEST_CASE("what a set's elements count from one reading to the next was dropped") {
  Readings readings;
  CHECK(readings.Take(kRules, Counted("bad", {{"10.0.0.1", 100}})).empty());  // old
  CHECK(readings.Take(kRules, Counted("bad", {{"10.0.0.1", 100}})).empty());
  CHECK(readings.Take(kRules, Counted("bad", {{"10.0.0.1", 103}, {"10.0.0.2", 2}})) ==
        Drops{"10.0.0.1 3", "10.0.0.2 2"});
}

TEST_CASE("an element that timed out and came back counts from zero") {
  Readings readings;
  (void)readings.Take(kRules, Counted("bad", {{"10.0.0.1", 100}}));
  CHECK(readings.Take(kRules, Counted("bad", {{"10.0.0.1", 4}})) == Drops{"10.0.0.1 4"});
  CHECK(readings.Take(kRules, Counted("bad", {})).empty());
  CHECK(readings.Take(kRules, Counted("bad", {{"10.0.0.1", 6}})) == Drops{"10.0.0.1 6"});
}

TEST_CASE("what was counted before the rule looked there is old") {
  Readings readings;
  (void)readings.Take({}, Counted("bad", {{"10.0.0.1", 100}}));
  CHECK(readings.Take(kRules, Counted("bad", {{"10.0.0.1", 100}})).empty());
  // A reload may bring elements with their old counters along.
  CHECK(readings
            .Take({Counting("ip saddr @bad drop", "bad", Verdict::kDrop, 9)},
                  Counted("bad", {{"10.0.0.1", 101}, {"10.0.0.2", 50}}))
            .empty());
}

TEST_CASE("elements without room are counted once, and their past is no drop once they have it") {
  std::vector<std::pair<std::string, std::uint64_t>> packets;
  for (std::size_t i = 0; i < SetDrops::kElementsMax + 3; ++i) {
    packets.emplace_back(
        "10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255), 100);
  }
  Readings readings;
  const AddressSet all = Counted("bad", packets);
  for (int i = 0; i < 3; ++i) CHECK(readings.Take(kRules, all).empty());
  CHECK(readings.sets.turned_away() == 3);
  packets.erase(packets.begin(), packets.begin() + 3);
  CHECK(readings.Take(kRules, Counted("bad", packets)).empty());
  packets.back().second += 5;
  CHECK(readings.Take(kRules, Counted("bad", packets)) == Drops{packets.back().first + " 5"});
  CHECK(readings.sets.turned_away() == 3);
}

TEST_CASE("a set that is not one dropping rule's alone tells nothing") {
  const AddressSet before = Counted("bad", {{"10.0.0.1", 1}}), after = Counted("bad", {{"10.0.0.1", 9}});
  for (const auto& rules : {std::vector{Counting("ip saddr @bad accept", "bad", Verdict::kAccept)},
                            std::vector{kRules[0], Rule_("tcp dport 80 ip saddr @bad accept", Verdict::kAccept)},
                            std::vector{Counting("ip saddr @bad update @bad { ip saddr } drop", "bad")}}) {
    Readings readings;
    (void)readings.Take(rules, before);
    CHECK(readings.Take(rules, after).empty());
    CHECK_FALSE(readings.sets.any());
  }
  Readings others;
  const std::vector rules = {kRules[0], Rule_("ip saddr @badly accept", Verdict::kAccept)};
  (void)others.Take(rules, before);
  CHECK(others.Take(rules, after) == Drops{"10.0.0.1 8"});
}

TEST_CASE("an element of many sources is nobody's, unless they are one group") {
  const AddressSet before = Counted("bad", {{"10.0.0.0/24", 1}}), after = Counted("bad", {{"10.0.0.0/24", 9}});
  Readings singly;
  (void)singly.Take(kRules, before);
  CHECK(singly.Take(kRules, after).empty());
  Readings grouped{SetDrops({24, 64})};
  (void)grouped.Take(kRules, before);
  CHECK(grouped.Take(kRules, after) == Drops{"10.0.0.0 8"});
}
