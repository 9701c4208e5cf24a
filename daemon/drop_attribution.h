// Which rule dropped a packet of which only the key is known: the join of what the eBPF program counts with what the rules say and
// have counted. Pure; any thread.
//
// The base chains of the hooks that are possible are walked as the packet would have walked them, into the chains they jump to. Each
// drop or reject that the packet may have met is a candidate, a policy that drops included, unless its own counter stood
// still meanwhile. The answer is a rule only when it is the one candidate that is left, every condition of it is understood
// and holds, and its counter rose by as many packets or more. Else it is none: nothing is guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collectors/drops/drop_event.h"
#include "collectors/rules/rule_snapshot.h"

namespace conntally {

// The interfaces' names, which rules know them by; empty: none, or not known.
struct DropInterfaces {
  std::string_view in;
  std::string_view out;
};

struct DropAttribution {
  std::optional<std::string> rule;  // its text
  // Without a rule: no counter has risen yet by what was dropped, so a later reading may tell. Else it will stay open.
  bool may_follow = false;
};

// The rule that dropped all `packets` packets of the key. `before` was read before the first of them, `after` after
// the last; a backend whose rules changed in between leaves the answer open.
DropAttribution RuleThatDropped(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets,
                                const RuleSnapshot& before, const RuleSnapshot& after);

}  // namespace conntally
