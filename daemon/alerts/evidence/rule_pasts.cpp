#include "daemon/alerts/evidence/rule_pasts.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace conntally {

void RulePasts::Look(SteadyTime now) {
  if (first_look_ == SteadyTime{}) first_look_ = now;
  last_look_ = now;
  if (now - first_look_ >= Baseline::kLag + Baseline::kPastMin) first_rules_.clear();
}

Baseline& RulePasts::Of(const std::string& label) {
  const auto found = pasts_.find(label);
  if (found != pasts_.end()) return found->second;
  if (pasts_.size() >= kMax) {
    const auto least = std::min_element(pasts_.begin(), pasts_.end(), [](const auto& one, const auto& other) {
      return one.second.High() < other.second.High();
    });
    if (least->second.High() > 0) ++turned_away_;
    pasts_.erase(least);
  }
  const bool known = restored_ || !first_rules_.contains(label);
  const auto since = std::chrono::duration_cast<std::chrono::seconds>(last_look_ - first_look_) - Baseline::kLag;
  return pasts_.emplace(label, std::max(since, known ? Baseline::kPastMin : std::chrono::seconds(0))).first->second;
}

void RulePasts::Follow(const std::map<std::string, double>& figures,
                       const std::function<bool(const std::string&)>& is_unusual) {
  for (auto& [label, past] : pasts_) {
    const auto figure = figures.find(label);
    past.Add(last_look_, figure == figures.end() ? 0 : figure->second, is_unusual(label));
  }
}

nlohmann::json RulePasts::Save() const {
  auto saved = nlohmann::json::array();
  for (const auto& [label, past] : pasts_) {
    if (past.High() > 0) saved.push_back({label, past.Save(kBucketsSaved)});
  }
  return saved;
}

bool RulePasts::Restore(const nlohmann::json& saved) {
  if (!saved.is_array() || saved.size() > kMax) return false;
  std::map<std::string, Baseline> pasts;
  for (const auto& each : saved) {
    if (!each.is_array() || each.size() != 2 || !each[0].is_string()) return false;
    if (!pasts[each[0].get<std::string>()].Restore(each[1])) return false;
  }
  pasts_ = std::move(pasts);
  restored_ = true;
  return true;
}

std::size_t RulePasts::bytes() const {
  std::size_t bytes = first_rules_.size() * 128;
  for (const auto& [label, past] : pasts_) bytes += label.size() + past.bytes() + 64;
  return bytes;
}

}  // namespace conntally
