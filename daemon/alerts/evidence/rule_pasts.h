// Of each rule, by its label, the recent past of a figure (Baseline). It begins with the daemon or, of a rule that came
// later, with the rule, which did nothing before. So it does after a restart: what was saved names every rule that did
// something.
//
// Bounded: kMax rules; the one whose past is least makes room, and counts unless it did nothing. Threads: one owner.
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

  // Before all else in a look.
  void Look(SteadyTime now);
  // One that was there at the first look, as "" (no known rule) always is.
  void AddFirstRule(const std::string& label) { first_rules_.insert(label); }

  Baseline& Of(const std::string& label);
  // The figures of this look; of a rule that is not among them, 0.
  void Follow(const std::map<std::string, double>& figures, const std::function<bool(const std::string&)>& is_unusual);

  nlohmann::json Save() const;
  // False, and nothing changed, where it is not what Save gives.
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
