// What each rule usually does to regular sources, by its label, so that only a change is reported. A rule that stops
// regulars all day does its work (advertisers that a gateway blocks, a limit on new connections, guests that may not
// reach the office). Three figures of it:
//
// - The weight of the regulars that it stops (judge_drops.h). To be unusual, it must exceed its past by kTold, and by
//   the factor kTimesUsual.
// - The packets a second that regulars lose by it, to services or by TCP, whether they fail or not. If these are no
//   more than usual, nothing has changed at the rule: its sources only open fewer connections now, as when people go
//   home and their machines still report to a blocked maker.
// - The regulars that it stopped for some seconds and that then got through again, by weight, over about kRecoveredFor.
//   Sources that come and go at a rule, such as guests whose login expires, are its work.
//
// A rule's past begins with the daemon, or with the rule (rule_pasts.h); until it is known, nothing is unusual.
//
// Bounded: RulePasts::kMax rules for each past; the last figure is of rules that stopped a regular in the last minutes.
// Threads: one owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "daemon/alerts/evidence/rule_pasts.h"

namespace conntally {

class RuleHabits {
 public:
  static constexpr std::chrono::minutes kRecoveredFor{5};
  static constexpr double kTold = 3;  // weight at which it is reported, of a rule that usually stops none

  // Call it first in each evaluation.
  void Look(SteadyTime now);
  void AddFirstRule(const std::string& label);

  // A regular that the rule stopped gets through again.
  void NoteRecovered(const std::string& label, double weight) {
    double& recovered = recovered_[label];
    recovered = std::min(recovered + weight, kRecoveredMost);
  }
  // The daemon looks at rules for less than kRecoveredFor, and knows nothing from before.
  bool young() const { return !weights_.known_for(kRecoveredFor); }
  // What regulars lose now by each rule, in packets a second.
  void set_lost(std::map<std::string, double> lost) { lost_ = std::move(lost); }

  // Whether the rule stops unusually many regulars, of this weight, which lose so many packets a second.
  bool IsUnusual(const std::string& label, double weight, double lost);
  // Whether it does not usually stop any, and one now loses so many packets a second.
  bool IsNew(const std::string& label, double lost);

  // Ends the evaluation, with the weights that the rules stop; a rule that `is_unusual` keeps its past.
  void Follow(const std::map<std::string, double>& weights, const std::function<bool(const std::string&)>& is_unusual);

  nlohmann::json Save() const { return {{"stopped", weights_.Save()}, {"lost", losses_.Save()}}; }
  // False, without a change, if `saved` is not as Save writes it.
  bool Restore(const nlohmann::json& saved);
  std::uint64_t turned_away() const { return weights_.turned_away() + losses_.turned_away(); }
  std::size_t bytes() const;

 private:
  static constexpr double kTimesUsual = 3;
  static constexpr double kUsuallyNone = 0.5;  // weight
  static constexpr double kTimesRecovered = 2;
  static constexpr double kRecoveredMost = 10;  // weight
  static constexpr double kPartOfLost = 0.5;    // by which more must be lost than usual, of what the failing lose

  bool LosesMore(const std::string& label, double lost);
  double Recovered(const std::string& label) const;

  RulePasts weights_;
  RulePasts losses_;
  std::map<std::string, double> lost_;       // now
  std::map<std::string, double> recovered_;  // weight, fading
  SteadyTime last_look_{};
};

}  // namespace conntally
