#include "collectors/rules/walk/match/set_membership.h"

#include <algorithm>

#include "collectors/rules/walk/match/condition_match.h"
#include "test/support/catch.h"

using namespace conntally;

namespace {

IpAddress Address(const char* text) { return IpAddress::Parse(text).value(); }

SetElement Element(const char* prefix, bool no_match = false) {
  return {RangeOf(*Prefix::Parse(prefix)), std::nullopt, no_match};
}

AddressSet Set(std::vector<SetElement> elements) {
  AddressSet set;
  set.ipset = true;
  set.name = "bad";
  set.elements = std::move(elements);
  return set;
}

// As a packet walk asks.
Match AsAsked(const AddressSet& set, const char* source) {
  FirewallReading snapshot;
  snapshot.ipsets = std::make_shared<const std::vector<AddressSet>>(std::vector{set});
  Rule rule;
  rule.fully_understood = true;
  RuleCondition& condition = rule.conditions.emplace_back();
  condition.set = set.name;
  condition.ipset = true;
  Packet packet;
  packet.source = Address(source);
  return ConditionMatcher(snapshot).Conditions(rule, packet).match;
}

}  // namespace

TEST_CASE("an exception holds, in whatever order the elements are listed") {
  std::vector<SetElement> elements = {Element("10.0.0.0/24", true), Element("10.0.0.0/8"), Element("10.0.0.64/26"),
                                      Element("10.0.0.70", true)};
  const auto by_start = [](const SetElement& a, const SetElement& b) {
    return std::pair(a.addresses.first, a.addresses.last) < std::pair(b.addresses.first, b.addresses.last);
  };
  std::sort(elements.begin(), elements.end(), by_start);
  int orders = 0;
  do {
    const AddressSet set = Set(elements);
    for (const auto& [source, held] : {std::pair("10.0.0.5", false),
                                       {"10.0.0.65", true},
                                       {"10.0.0.70", false},
                                       {"10.1.0.5", true},
                                       {"11.0.0.5", false}}) {
      CHECK(MembershipOf(Address(source), set) == Known(held));
      CHECK(AsAsked(set, source) == Known(held));
    }
    ++orders;
  } while (std::next_permutation(elements.begin(), elements.end(), by_start));
  CHECK(orders == 24);
}

TEST_CASE("of a set that is not known whole, what is not found in it may still be there") {
  AddressSet set = Set({Element("10.0.0.0/24")});
  set.complete = false;
  CHECK(MembershipOf(Address("10.0.0.1"), set) == Match::kYes);
  CHECK(MembershipOf(Address("10.0.1.1"), set) == Match::kMaybe);
  CHECK(MembershipOf(Address("2001:db8::1"), set) == Match::kNo);
  CHECK(AsAsked(set, "10.0.1.1") == Match::kMaybe);
}
