// The limits that firewall rules set on each source's connections (xt_connlimit by source, and nft's `ct count` in a
// set keyed by the source's address), and which connections each limit counts. Pure; any thread.
//
// A rule counts the connections whose packets reach it. So a limit is narrowed by its own conditions, by those of the
// jumps that lead to its chain, and by earlier rules that send packets elsewhere. A condition that the connection's
// original tuple decides (source, destination, protocol, ports) narrows it exactly. A condition that every connection's
// first packet satisfies (`ct state new`, `--syn`) narrows nothing. A rule that only later packets match (`ct state
// established accept`) removes nothing. Any other condition (interfaces except loopback, marks, rates, times) is
// ignored and makes the limit `approximate`: the count is never too low.
//
// The kernel counts only connections whose packets the rule saw since it was loaded; here older ones count too. In a
// rule without `ct state new`, the kernel counts a reply for its sender; here a connection counts only for the source
// that opened it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectors/conntrack/surveys/connection_census.h"
#include "collectors/rules/rule_counters.h"
#include "daemon/limits/source_limit.h"

namespace conntally {

struct LimitInRule {
  LimitOrigin origin = LimitOrigin::kConnlimit;
  std::uint64_t connections = 0;
  std::string rule;  // its text
  bool approximate = false;
  bool in_doubt = false;  // approximate for more reasons than that the hook (local or forwarded) is unknown
  CoveredConnections covered;

  // Whether it may count a connection of these sources.
  bool Concerns(const AddressRange& sources) const;
};

struct LimitsInRules {
  static constexpr std::size_t kLimitsMax = 64;  // each costs the census some nanoseconds per connection

  std::vector<LimitInRule> limits;
  std::shared_ptr<const std::vector<CoveredConnections>> covered;  // by limit
  std::uint64_t turned_away = 0;
};

// `forwards`: whether this host is a router, so that each hook sees only some of a source's connections.
LimitsInRules FindLimits(const RuleFigures& rules, bool forwards);

}  // namespace conntally
