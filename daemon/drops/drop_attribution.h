// Which rule dropped a packet of which only the key is known: the join of what the eBPF program counts with what the
// rules say and have counted. Pure; one thread at a time.
//
// The base chains of the hooks that are possible are asked by priority, by the walk of all rules (packet_walk.h). Each
// drop or reject that the packet may have met is a candidate, a policy that drops included, unless its own counter
// stood still meanwhile. A verdict map drops by those of its elements that the packet may have met. A source is in a
// set that was in it before and after. The answer is a rule only when it is the one candidate that is left, every
// condition of it is understood and none is known not to hold, and its counter rose by as many packets or more. A rule
// that counts nothing must match for certain instead. Else it is none: nothing is guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/drops/drop_event.h"
#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/packet_walk.h"

namespace conntally {

// The interfaces' names, which rules know them by; empty: none, or not known.
struct DropInterfaces {
  std::string_view in;
  std::string_view out;
};

struct DropAttribution {
  std::optional<std::string> rule = std::nullopt;  // its text
  std::optional<HookSet> hook = std::nullopt;      // with the rule: where it stands
  // Without a rule: no counter has risen yet by what was dropped, so a later reading may tell. Else it will stay open.
  bool may_follow = false;
  bool none_can = false;  // likewise: no rule and no policy of these can have dropped it
};

class DropAttributor {
 public:
  // `before` was read before the first of the packets that are asked for, `after` after the last; a backend whose rules
  // changed in between leaves the answer open. Both outlive it.
  DropAttributor(const FirewallReading& before, const FirewallReading& after);

  // The rule that dropped all `packets` packets of the key.
  DropAttribution Of(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets);

 private:
  struct Base {
    std::int32_t priority = 0;
    HookSet hook;
    ChainRef ref;
  };
  struct Candidate {
    const Rule* rule = nullptr;  // null: a policy, or a verdict that cannot be told
    Answer match;
    std::optional<std::uint64_t> rose = {};  // nullopt: it has no counter
    HookSet hook = HookSet();
  };
  void Collect(const Walk& walk, ChainRef base, std::vector<Candidate>& candidates) const;
  // The rule that counted it: that of the jump, where a jump into a chain that only drops has a counter itself.
  RuleRef CountedBy(const Decision& stop) const;

  const FirewallReading& before_;
  const FirewallReading& after_;
  const PacketWalker walker_;
  bool same_rules_ = true;
  std::vector<Base> bases_;  // by priority
};

}  // namespace conntally
