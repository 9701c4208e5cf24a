// What the judge of drops knows of services and rules, and what it keeps over a restart.
#include <algorithm>
#include <utility>

#include "daemon/alerts/drop_judges/judge_drops.h"

namespace conntally {
namespace {

// Of packets that conntrack calls invalid, and not of those that begin a connection.
bool OfInvalid(const Rule& rule) {
  return std::any_of(rule.conditions.begin(), rule.conditions.end(), [](const RuleCondition& condition) {
    if (condition.kind != RuleCondition::Kind::kConntrackState || condition.negated) return false;
    std::uint32_t bits = 0;
    for (const NumberRange& range : condition.numbers) bits |= range.first | range.last;
    constexpr std::uint32_t kInvalid = 1, kNew = 8;
    return (bits & kInvalid) != 0 && (bits & kNew) == 0;
  });
}

// It drops what is beyond a limit.
bool IsLimited(const Rule& rule) {
  return std::any_of(rule.limits.begin(), rule.limits.end(),
                     [](const RuleLimit& limit) { return limit.matches_above; });
}

}  // namespace

void DropJudge::FollowServices(const AlertEvidence& evidence) {
  if (std::exchange(just_restored_, false)) {
    for (auto& [service, last] : services_) last = evidence.now;
  }
  if (evidence.answers) {
    for (const auto& service : evidence.answers->services) {
      if (service.attempts == service.unanswered) continue;
      const std::pair key{service.protocol, service.port};
      if (services_.size() < kServicesMax || services_.contains(key)) services_[key] = evidence.now;
    }
  }
  std::erase_if(services_, [&](const auto& entry) { return evidence.now - entry.second > kServiceForgottenAfter; });
}

void DropJudge::FollowRules(const AlertEvidence& evidence) {
  if (!evidence.rules || evidence.rules == last_rules_) return;
  const bool first = std::exchange(last_rules_, evidence.rules) == nullptr;
  rejecting_.clear();
  invalid_.clear();
  limiting_.clear();
  for (const auto& [backend, figures] : evidence.rules->backends) {
    if (!figures.snapshot.ruleset) continue;
    for (const Rule& rule : figures.snapshot.ruleset->rules) {
      if (first) habits_.AddFirstRule(RuleLabel(rule.text));
      if (rule.verdict == Verdict::kReject) rejecting_.insert(RuleLabel(rule.text));
      if (OfInvalid(rule)) invalid_.insert(RuleLabel(rule.text));
      if (IsLimited(rule)) limiting_.insert(RuleLabel(rule.text));
    }
  }
}

void DropJudge::FollowHabits(SteadyTime now) {
  std::erase_if(episodes_, [&](const auto& entry) { return now - entry.second.last > kOver; });
  std::map<std::string, double> lost;
  for (const auto& [name, episode] : episodes_) {
    if (episode.minutes > 0) lost[episode.rule] += episode.tried_rate();
  }
  habits_.set_lost(std::move(lost));
  for (auto& [name, episode] : episodes_) {
    if (!episode.fails) {
      episode.news.reset();
    } else if (episode.minutes >= kRegularMinutes) {
      // Again for a while, since what it loses lately has to grow first.
      if (!episode.news || (!*episode.news && now - episode.failing_since <= kNewsWithin))
        episode.news = habits_.IsNew(episode.rule, episode.tried_rate());
      if (*episode.news) news_.insert(episode.rule);
    }
  }
}

nlohmann::json DropJudge::Save() const {
  auto services = nlohmann::json::array();
  for (const auto& [service, last] : services_) services.push_back({service.first, service.second});
  return {{"regulars", regulars_.Save()}, {"services", services}, {"habits", habits_.Save()}};
}

std::string DropJudge::Restore(const nlohmann::json& saved) {
  if (!saved.is_object()) return "what regular sources did is no such list";
  const auto services = saved.value("services", nlohmann::json::array());
  if (!services.is_array() || services.size() > kServicesMax) return "the ports that answered are no such list";
  std::map<std::pair<std::uint8_t, std::uint16_t>, SteadyTime> known;
  for (const auto& each : services) {
    if (!each.is_array() || each.size() != 2 || !each[0].is_number_unsigned() || !each[1].is_number_unsigned())
      return "a port that answered is not readable";
    known[{each[0].get<std::uint8_t>(), each[1].get<std::uint16_t>()}] = {};
  }
  RuleHabits habits;
  if (saved.contains("habits") && !habits.Restore(saved["habits"])) return "what rules did is no such list";
  if (std::string why = regulars_.Restore(saved.value("regulars", nlohmann::json::object())); !why.empty()) return why;
  services_ = std::move(known);
  habits_ = std::move(habits);
  just_restored_ = true;
  return {};
}

std::size_t DropJudge::bytes() const {
  return regulars_.bytes() + drop_rates_.size() * 300 + episodes_.size() * (sizeof(Episode) + 128) +
         services_.size() * 64 + own_destinations_.bytes() + habits_.bytes();
}

}  // namespace conntally
