#include "daemon/alerts/drop_judges/rule_habits.h"

#include <cmath>
#include <utility>

namespace conntally {

void RuleHabits::Look(SteadyTime now) {
  weights_.Look(now);
  losses_.Look(now);
  const double fades = std::exp(-std::chrono::duration<double>(now - last_look_) / kRecoveredFor);
  for (auto& [label, weight] : recovered_) weight *= fades;
  std::erase_if(recovered_, [](const auto& entry) { return entry.second < 0.1; });
  last_look_ = now;
}

void RuleHabits::AddFirstRule(const std::string& label) {
  weights_.AddFirstRule(label);
  losses_.AddFirstRule(label);
}

double RuleHabits::Recovered(const std::string& label) const {
  const auto found = recovered_.find(label);
  return found == recovered_.end() ? 0 : found->second;
}

bool RuleHabits::LosesMore(const std::string& label, double lost) {
  const auto now = lost_.find(label);
  const Baseline& past = losses_.Of(label);
  const double most = past.High() + (past.High() - past.Median());  // by chance
  return past.known() && now != lost_.end() && now->second - most >= kPartOfLost * lost;
}

bool RuleHabits::IsUnusual(const std::string& label, double weight, double lost) {
  const Baseline& past = weights_.Of(label);
  return past.known() && weight >= kTold + kTimesUsual * past.High() + kTimesRecovered * Recovered(label) &&
         LosesMore(label, lost);
}

bool RuleHabits::IsNew(const std::string& label, double lost) {
  const Baseline& past = weights_.Of(label);
  return past.known() && past.High() + Recovered(label) < kUsuallyNone && LosesMore(label, lost);
}

void RuleHabits::Follow(const std::map<std::string, double>& weights,
                        const std::function<bool(const std::string&)>& is_unusual) {
  weights_.Follow(weights, is_unusual);
  for (const auto& [label, lost] : lost_) losses_.Of(label);
  losses_.Follow(lost_, is_unusual);
}

bool RuleHabits::Restore(const nlohmann::json& saved) {
  RulePasts weights, losses;
  if (!saved.is_object() || !weights.Restore(saved.value("stopped", nlohmann::json())) ||
      !losses.Restore(saved.value("lost", nlohmann::json())))
    return false;
  weights_ = std::move(weights);
  losses_ = std::move(losses);
  return true;
}

std::size_t RuleHabits::bytes() const {
  return weights_.bytes() + losses_.bytes() + (lost_.size() + recovered_.size()) * 128;
}

}  // namespace conntally
