// The recent past of a figure (Baseline) for each rule, by its label. It begins with the daemon or, for a rule added
// later, with the rule, whose earlier past is 0. The same holds after a restart, since the saved state names every rule
// that had a figure above 0.
//
// Bounded: kMax rules; a new rule replaces the one with the least past, which turned_away() counts unless that past is
// 0. Threads: one owner.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>

#include "daemon/alerts/evidence/baseline.h"

namespace conntally {

class RulePasts {
 public:
  static constexpr std::size_t kMax = 256;

  // Call it first in each evaluation.
  void Look(SteadyTime now);
  // A rule that existed at the first evaluation; "" (no known rule) always did.
  void AddFirstRule(const std::string& label) { first_rules_.insert(label); }

  // Whether it has looked at rules for so long, or knows their past from before a restart.
  bool known_for(std::chrono::seconds duration) const { return restored_ || last_look_ - first_look_ >= duration; }
  Baseline& Of(const std::string& label);
  // The figures of this evaluation; 0 for a rule that is not listed.
  void Follow(const std::map<std::string, double>& figures, const std::function<bool(const std::string&)>& is_unusual);

  nlohmann::json Save() const;
  // False, without a change, if `saved` is not as Save writes it.
  bool Restore(const nlohmann::json& saved);
  std::uint64_t turned_away() const { return turned_away_; }
  std::size_t bytes() const;

 private:
  static constexpr std::size_t kBucketsSaved = 40;

  std::map<std::string, Baseline> pasts_;
  std::unordered_set<std::string> first_rules_ = {""};  // until their past is known
  SteadyTime first_look_{};
  SteadyTime last_look_{};
  bool restored_ = false;
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
