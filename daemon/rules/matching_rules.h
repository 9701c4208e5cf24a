// "Does this source match a drop rule": the drop and reject rules whose conditions on the source cover an address,
// whether they have hit or not, on whatever way packets come to them. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/rules/rule_counters.h"

namespace conntally {

struct MatchingRule {
  const Rule* rule = nullptr;
  const RuleTotal* total = nullptr;
  // Neither the rule nor the way to it asks who the source is: it covers everybody.
  bool any_source = false;
  // False: whether the source is covered depends on what is not known whole, such as a set of which not all elements
  // are read.
  bool certain = true;
  // More is asked of a packet than its source: ports, states, rates ...
  bool other_conditions = false;
};

// Those that name the source first, each in the order of evaluation. They point into the figures.
std::vector<MatchingRule> RulesThatDrop(const RuleFigures& rules, const IpAddress& source);

// As a JSON array, of kMatchingRulesMax at most.
inline constexpr std::size_t kMatchingRulesMax = 1000;
std::string MatchingRulesJson(const std::vector<MatchingRule>& rules);

}  // namespace conntally
