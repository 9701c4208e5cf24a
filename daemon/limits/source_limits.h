// The limits on every source's connections, of every origin, and how many connections each counts: limits of the
// configuration and the sysctl by the tallies, limits of rules by a census of the connections that they cover.
//
// Threads: Follow on one; all others on any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "collectors/conntrack/surveys/connection_census.h"
#include "config/config.h"
#include "daemon/limits/limits_in_rules.h"
#include "daemon/limits/source_limit.h"

namespace conntally {

class SourceLimits {
 public:
  // Once a second: takes the limits from the current rules, and requests the census that they need.
  void Follow(const std::shared_ptr<const RuleFigures>& rules, bool forwards, std::optional<std::uint64_t> sysctl,
              ConnectionCensus& census);

  // Whether any source has a limit.
  bool Any(const std::vector<Config::Limit>& configured) const;

  // The limits on the sources in the prefix, which hold `connections` together; the most used first.
  std::vector<SourceLimit> Of(const Prefix& source, std::int64_t connections,
                              const std::vector<Config::Limit>& configured, const ConnectionCensus& census) const;

  // Limits in rules beyond kLimitsMax.
  std::uint64_t turned_away() const;

 private:
  // The limits that the last census counted; until the new ones are counted, the previous ones.
  std::shared_ptr<const LimitsInRules> CountedBy(const Census& census) const;

  std::shared_ptr<const RuleFigures> followed_;  // only Follow uses it
  bool forwards_ = false;                        // only Follow uses it

  mutable std::mutex mutex_;
  std::shared_ptr<const LimitsInRules> asked_;
  mutable std::shared_ptr<const LimitsInRules> counted_;
  std::optional<std::uint64_t> sysctl_;
  TurnedAway turned_away_;
};

}  // namespace conntally
