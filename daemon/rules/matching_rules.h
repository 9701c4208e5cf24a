// "Does this source match a drop rule": the drop and reject rules whose conditions on the source cover an address,
// whether or not they have matched yet, along every path of jumps to them. Pure; any thread.
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
  // Neither the rule nor the jumps to it test the source: it covers every source.
  bool any_source = false;
  // False: whether it covers the source depends on something that is not fully known, such as a set of which not all
  // elements were read.
  bool certain = true;
  // The rule also tests something else: ports, states, rates ... ...
  bool other_conditions = false;
};

// Rules that test the source come first, each part in the order of evaluation. The results point into the figures.
std::vector<MatchingRule> RulesThatDrop(const RuleFigures& rules, const IpAddress& source);

// As a JSON array, of at most kMatchingRulesMax.
inline constexpr std::size_t kMatchingRulesMax = 1000;
std::string MatchingRulesJson(const std::vector<MatchingRule>& rules);

}  // namespace conntally
