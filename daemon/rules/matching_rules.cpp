#include "daemon/rules/matching_rules.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/match/condition_match.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// How far a rule, or the paths to a chain, cover a source.
struct Cover {
  Match holds = Match::kYes;
  bool any_source = true;
  bool other_conditions = false;
};

Cover Both(const Cover& a, const Cover& b) {
  return {conntally::Both(a.holds, b.holds), a.any_source && b.any_source, a.other_conditions || b.other_conditions};
}

class CoverOfSource {
 public:
  CoverOfSource(const RuleFigures& figures, const BackendReading& snapshot, const IpAddress& source)
      : ruleset_(*snapshot.ruleset), matcher_(snapshot, figures.ipsets.get()), paths_(ruleset_) {
    packet_.family = source.family;
    packet_.source = source;
  }

  // nullopt: it drops no packet of the source.
  std::optional<Cover> Dropped(const Rule& rule) {
    Cover cover = Of(rule, rule.conditions);
    if (!rule.map.empty()) {
      cover = Both(cover, Mapped(rule));
    } else if (rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject) {
      return std::nullopt;
    }
    const RuleChain* chain = cover.holds != Match::kNo ? paths_.Find(rule.family, rule.table, rule.chain) : nullptr;
    if (chain == nullptr) return std::nullopt;
    cover = Both(cover, WayTo(*chain));
    return cover.holds != Match::kNo ? std::optional(cover) : std::nullopt;
  }

 private:
  static constexpr Cover kNothing = {Match::kNo, false, true};

  Cover Of(const Rule& rule, const std::vector<RuleCondition>& conditions) const {
    const bool ipv4 = packet_.family == Family::kIpv4;
    if (rule.family == RuleFamily::kArp || rule.family == (ipv4 ? RuleFamily::kIp6 : RuleFamily::kIp))
      return {Match::kNo};
    Cover cover;
    cover.other_conditions = (!rule.fully_understood && rule.map.empty()) || !rule.limits.empty();
    for (const RuleCondition& condition : conditions) {
      const bool of_source = condition.kind == Kind::kSource;
      if (!of_source && condition.kind != Kind::kFamily) {
        cover.other_conditions = true;
        continue;
      }
      if (of_source) cover.any_source = false;
      cover.holds = conntally::Both(cover.holds, matcher_.Condition(rule, condition, packet_).match);
    }
    return cover;
  }

  static Cover Better(const Cover& a, const Cover& b) {
    if (b.holds == Match::kNo) return a;
    return {Either(a.holds, b.holds), a.any_source || b.any_source, a.other_conditions && b.other_conditions};
  }

  // The best cover of a verdict map's elements that drop.
  Cover Mapped(const Rule& rule) const {
    Cover best = kNothing;
    for (const MappedVerdict& mapped : rule.map) {
      if (mapped.verdict != Verdict::kDrop && mapped.verdict != Verdict::kReject) continue;
      if (!rule.map_understood || mapped.key.empty()) return {Match::kMaybe, true, true};
      Cover cover = Of(rule, mapped.key);
      if (mapped.may_be_gone) cover.holds = conntally::Both(cover.holds, Match::kMaybe);
      best = Better(best, cover);
    }
    return best;
  }

  // The best cover of all paths.
  Cover WayTo(const RuleChain& chain) {
    const auto extend = [&](const ChainGraph::Entrance& entrance, const Cover& before) {
      const Rule& rule = ruleset_.rules[entrance.rule];
      Cover cover = Of(rule, rule.conditions);
      const auto* key = entrance.mapped != nullptr ? ChainGraph::ConditionsOf(rule, *entrance.mapped) : nullptr;
      if (key != nullptr) cover = Both(cover, Of(rule, *key));
      if (key == nullptr && !rule.map.empty()) cover.other_conditions = true;
      return Both(cover, before);
    };
    return paths_.OverAllWaysTo(chain, Cover{}, kNothing, extend, Better, ways_);
  }

  const Ruleset& ruleset_;
  const ConditionMatcher matcher_;
  const ChainGraph paths_;
  Packet packet_;
  std::map<const RuleChain*, Cover> ways_;
};

}  // namespace

std::vector<MatchingRule> RulesThatDrop(const RuleFigures& rules, const IpAddress& source) {
  std::vector<MatchingRule> matching;
  for (const auto& [backend, of_backend] : rules.backends) {
    const BackendReading& snapshot = of_backend.snapshot;
    if (!snapshot.present || !snapshot.ruleset) continue;
    CoverOfSource covers(rules, snapshot, source);
    for (std::size_t i = 0; i < snapshot.ruleset->rules.size(); ++i) {
      const Rule& rule = snapshot.ruleset->rules[i];
      if (const auto cover = covers.Dropped(rule)) {
        matching.push_back({&rule, i < of_backend.totals.size() ? &of_backend.totals[i] : nullptr, cover->any_source,
                            cover->holds == Match::kYes, cover->other_conditions});
      }
    }
  }
  std::stable_partition(matching.begin(), matching.end(), [](const MatchingRule& rule) { return !rule.any_source; });
  return matching;
}

std::string MatchingRulesJson(const std::vector<MatchingRule>& rules) {
  using Json = nlohmann::ordered_json;
  Json json = Json::array();
  for (const MatchingRule& matching : rules) {
    if (json.size() == kMatchingRulesMax) break;
    const Rule& rule = *matching.rule;
    Json counter = nullptr;
    if (matching.total != nullptr && matching.total->counter) {
      counter = {{"packets", matching.total->counter->packets}, {"bytes", matching.total->counter->bytes}};
    }
    json.push_back({{"backend", NameOf(rule.backend)},
                    {"family", NameOf(rule.family)},
                    {"table", rule.table},
                    {"chain", rule.chain},
                    {"rule", rule.text},
                    {"verdict", NameOf(rule.verdict)},
                    {"handle", rule.handle != 0 ? Json(rule.handle) : Json(nullptr)},
                    {"counter", std::move(counter)},
                    {"any_source", matching.any_source},
                    {"certain", matching.certain},
                    {"other_conditions", matching.other_conditions}});
  }
  // Texts may hold any bytes.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace conntally
