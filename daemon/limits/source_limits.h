// The limits upon every source's connections, wherever they stand, and how many connections each counts: the
// configuration's and the sysctl's against the tallies, those of rules against the census of the connections that they
// cover.
//
// Threads: Follow on one; the rest on any.
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
  // Once a second: takes over what the rules say now, and asks for the census that their limits need.
  void Follow(const std::shared_ptr<const RuleFigures>& rules, bool forwards, std::optional<std::uint64_t> sysctl,
              ConnectionCensus& census);

  // Whether there is any limit upon any source.
  bool Any(const std::vector<Config::Limit>& configured) const;

  // The limits upon the sources of the prefix, together `connections` of them, the most used first.
  std::vector<SourceLimit> Of(const Prefix& source, std::int64_t connections,
                              const std::vector<Config::Limit>& configured, const ConnectionCensus& census) const;

  // Limits in rules that there was no room for.
  std::uint64_t turned_away() const;

 private:
  // Those that the last census was of, or else those before them: until the new ones are counted.
  std::shared_ptr<const LimitsInRules> CountedBy(const Census& census) const;

  std::shared_ptr<const RuleFigures> followed_;  // Follow's own
  bool forwards_ = false;                        // likewise

  mutable std::mutex mutex_;
  std::shared_ptr<const LimitsInRules> asked_;
  mutable std::shared_ptr<const LimitsInRules> counted_;
  std::optional<std::uint64_t> sysctl_;
  TurnedAway turned_away_;
};

}  // namespace conntally
