#include "daemon/rules/matching_rules.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/set_membership.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// How far a source is covered, by a rule or by the ways to a chain.
struct Cover {
  Match holds = Match::kYes;
  bool any_source = true;
  bool other_conditions = false;
};

Cover Both(const Cover& a, const Cover& b) {
  return {std::min(a.holds, b.holds), a.any_source && b.any_source, a.other_conditions || b.other_conditions};
}

class CoverOfSource {
 public:
  CoverOfSource(const RuleFigures& figures, const BackendReading& snapshot, const IpAddress& source)
      : figures_(figures), snapshot_(snapshot), source_(source), paths_(*snapshot.ruleset) {}

  // nullopt: it drops nothing of the source's.
  std::optional<Cover> Dropped(const Rule& rule) {
    Cover cover = Of(rule, rule.conditions);
    if (!rule.map.empty()) {
      cover = Both(cover, Mapped(rule));
    } else if (rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject) {
      return std::nullopt;
    }
    const RuleChain* chain = cover.holds != Match::kNo ? paths_.Find(rule.family, rule.table, rule.chain) : nullptr;
    if (chain == nullptr) return std::nullopt;
    cover = Both(cover, WayTo(*chain, 0));
    return cover.holds != Match::kNo ? std::optional(cover) : std::nullopt;
  }

 private:
  Cover Of(const Rule& rule, const std::vector<RuleCondition>& conditions) const {
    const bool ipv4 = source_.family == Family::kIpv4;
    if (rule.family == RuleFamily::kArp || rule.family == (ipv4 ? RuleFamily::kIp6 : RuleFamily::kIp))
      return {Match::kNo};
    Cover cover;
    cover.other_conditions = (!rule.fully_understood && rule.map.empty()) || !rule.limits.empty();
    for (const RuleCondition& condition : conditions) {
      if (condition.kind == Kind::kFamily) {
        const std::uint32_t family = ipv4 ? 2 : 10;  // NFPROTO_IPV4, NFPROTO_IPV6
        const bool among = std::any_of(condition.numbers.begin(), condition.numbers.end(),
                                       [&](const NumberRange& range) { return range.Contains(family); });
        if (among == condition.negated) return {Match::kNo};
      } else if (condition.kind == Kind::kSource) {
        cover.any_source = false;
        const Match holds = Holds(rule, condition);
        cover.holds = std::min(cover.holds, condition.negated ? Not(holds) : holds);
      } else {
        cover.other_conditions = true;
      }
    }
    return cover;
  }

  Match Holds(const Rule& rule, const RuleCondition& condition) const {
    if (condition.set.empty()) {
      return std::any_of(condition.addresses.begin(), condition.addresses.end(),
                         [&](const AddressRange& range) { return range.Contains(source_); })
                 ? Match::kYes
                 : Match::kNo;
    }
    const AddressSet* set = FindSet(rule, condition, snapshot_.sets.get(), figures_.ipsets.get());
    return set != nullptr ? MembershipOf(source_, *set) : Match::kMaybe;
  }

  // By the best of a verdict map's elements that drop.
  Cover Mapped(const Rule& rule) const {
    Cover best{Match::kNo, false, true};
    for (const MappedVerdict& mapped : rule.map) {
      if (mapped.verdict != Verdict::kDrop && mapped.verdict != Verdict::kReject) continue;
      if (!rule.map_understood || mapped.key.empty()) return {Match::kMaybe, true, true};
      Cover cover = Of(rule, mapped.key);
      if (mapped.may_be_gone) cover.holds = std::min(cover.holds, Match::kMaybe);
      if (cover.holds == Match::kNo) continue;
      best = {std::max(best.holds, cover.holds), best.any_source || cover.any_source,
              best.other_conditions && cover.other_conditions};
    }
    return best;
  }

  // By the best of the ways there are.
  const Cover& WayTo(const RuleChain& chain, int depth) {
    const auto [known, added] = ways_.try_emplace(&chain);
    Cover& way = known->second;
    if (!added || chain.base) return way;
    way = {Match::kNo, false, true};
    if (depth >= kJumpsMax) return way;
    for (const ChainGraph::Entrance& entrance : paths_.EntrancesOf(chain)) {
      const Rule& rule = snapshot_.ruleset->rules[entrance.rule];
      Cover cover = Of(rule, rule.conditions);
      if (entrance.key) cover = Both(cover, Of(rule, *entrance.key));
      if (!entrance.key && !rule.map.empty()) cover.other_conditions = true;
      cover = Both(cover, WayTo(*entrance.chain, depth + 1));
      if (cover.holds == Match::kNo) continue;
      way = {std::max(way.holds, cover.holds), way.any_source || cover.any_source,
             way.other_conditions && cover.other_conditions};
    }
    return way;
  }

  const RuleFigures& figures_;
  const BackendReading& snapshot_;
  const IpAddress& source_;
  const ChainGraph paths_;
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
  // Texts are whatever somebody gave the kernel.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace conntally
