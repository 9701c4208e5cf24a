// Which rule dropped a packet of which only the key is known: joins the eBPF program's counts with the rules and their
// counters. Pure; one thread at a time.
//
// The walk (packet_walk.h) follows the packet through the base chains of the possible hooks, by priority. Each drop or
// reject that the packet may have reached is a candidate, and so is a policy that drops, unless its counter stood still
// meanwhile. A verdict map is a candidate by the elements that the packet may have matched. A source counts as a member
// of a set if it was in the set before and after. The answer is a rule only if it is the only candidate left, all its
// conditions are understood, none is known to fail, and its counter rose by at least as many packets. A rule without a
// counter must instead match for certain. Where nothing but rules drops (in forward, and what is established), and all
// are read, neither is needed of the only one that is left. Otherwise there is no answer: it never guesses.
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

// The interfaces' names, as rules use them; empty: none, or not known.
struct DropInterfaces {
  std::string_view in;
  std::string_view out;
};

struct DropAttribution {
  std::optional<std::string> rule = std::nullopt;  // its text
  std::optional<HookSet> hook = std::nullopt;      // with the rule: the hook of its base chain
  // Without a rule: no counter has risen by these packets yet, so a later reading may identify the rule. If false, no
  // later reading will.
  bool may_follow = false;
  bool none_can = false;  // without a rule: no rule and no policy can have dropped it
};

class DropAttributor {
 public:
  // `before` was read before the first of the packets, `after` after the last. If a backend's rules changed in between,
  // there is no answer. Both must outlive this object.
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
    const Rule* rule = nullptr;  // null: a policy, or an unknown verdict
    Answer match;
    std::optional<std::uint64_t> rose = {};  // nullopt: it has no counter
    HookSet hook = HookSet();
  };
  void Collect(const Walk& walk, ChainRef base, std::vector<Candidate>& candidates) const;
  // The rule whose counter rose: that of the jump, if a jump into a chain that only drops has its own counter.
  RuleRef CountedBy(const Decision& stop) const;

  const FirewallReading& before_;
  const FirewallReading& after_;
  const PacketWalker walker_;
  bool same_rules_ = true;
  bool all_read_ = true;     // of the backends that are there
  std::vector<Base> bases_;  // by priority
};

}  // namespace conntally
