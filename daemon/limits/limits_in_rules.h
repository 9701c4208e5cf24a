// The limits that firewall rules put upon each source's connections: xt_connlimit by source, and nft's `ct count` in a
// set keyed by the source's address; and which connections each of them counts. Pure; any thread.
//
// A rule counts the connections whose packets reach it. So what narrows a limit are its own conditions, those of the
// jumps that lead to its chain, and the rules before it that let packets go elsewhere. What a connection's original
// tuple decides (source, destination, protocol, ports) narrows it exactly. What the first packet of every connection
// satisfies anyway (`ct state new`,
// `--syn`) narrows nothing, and what only later packets satisfy (`ct state established accept`) takes nothing away.
// Anything else (interfaces but loopback, marks, rates, times) leaves the limit `approximate`: it counts as if it were
// not there, so never too few.
//
// The kernel counts the connections whose packets the rule saw since it was loaded; older ones are counted here too. It
// counts replies, which a rule without `ct state new` sees as well, for whoever sends them; here a connection is its
// opener's.
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
  bool in_doubt = false;  // and for more than which of the hooks, of this host or through it, its packets take
  CoveredConnections covered;

  // Whether it can count any connection of these sources.
  bool Concerns(const AddressRange& sources) const;
};

struct LimitsInRules {
  static constexpr std::size_t kLimitsMax = 64;  // each costs the census some nanoseconds a connection

  std::vector<LimitInRule> limits;
  std::shared_ptr<const std::vector<CoveredConnections>> covered;  // by limit
  std::uint64_t turned_away = 0;
};

// `forwards`: whether this machine is a router, so that one hook sees only some of a source's connections.
LimitsInRules FindLimits(const RuleFigures& rules, bool forwards);

}  // namespace conntally
