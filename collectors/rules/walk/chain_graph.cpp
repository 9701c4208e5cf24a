#include "collectors/rules/walk/chain_graph.h"

#include <algorithm>

namespace conntally {

ChainGraph::ChainGraph(const Ruleset& ruleset) : ruleset_(ruleset) {
  for (const RuleChain& chain : ruleset.chains) chains_[{chain.family, chain.table, chain.name}] = &chain;
  for (const RuleChain& chain : ruleset.chains) {
    for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
      const Rule& rule = ruleset.rules[i];
      const auto enters = [&](std::string_view target, std::optional<std::vector<RuleCondition>> key) {
        const RuleChain* into = target.empty() ? nullptr : Find(rule.family, rule.table, target);
        if (into != nullptr) entrances_[into].push_back({&chain, i, std::move(key)});
      };
      enters(rule.jump_target, std::nullopt);
      for (const MappedVerdict& mapped : rule.map) enters(mapped.jump_target, ConditionsOf(rule, mapped));
    }
  }
}

const RuleChain* ChainGraph::Find(RuleFamily family, std::string_view table, std::string_view name) const {
  const auto found = chains_.find({family, table, name});
  return found != chains_.end() ? found->second : nullptr;
}

const std::vector<ChainGraph::Entrance>& ChainGraph::EntrancesOf(const RuleChain& chain) const {
  static const std::vector<Entrance> kNone;
  const auto found = entrances_.find(&chain);
  return found != entrances_.end() ? found->second : kNone;
}

bool ChainGraph::LetsGo(const Rule& rule, Verdict verdict, std::string_view target, int depth) const {
  switch (verdict) {
    case Verdict::kAccept:
    case Verdict::kNat:
    case Verdict::kQueue: return true;
    case Verdict::kReturn:
    case Verdict::kGoto: return depth == 0;  // from a chain jumped to, packets come back
    case Verdict::kJump: break;
    case Verdict::kMap:
      return std::any_of(rule.map.begin(), rule.map.end(), [&](const MappedVerdict& mapped) {
        return LetsGo(rule, mapped.verdict, mapped.jump_target, depth);
      });
    default: return false;
  }
  const RuleChain* chain = Find(rule.family, rule.table, target);
  if (chain == nullptr || depth >= kJumpsMax) return true;
  for (std::size_t i = chain->first_rule; i < chain->first_rule + chain->rule_count; ++i) {
    const Rule& inside = ruleset_.rules[i];
    // What a goto leads to is looked at like what a jump does.
    const Verdict of_inside = inside.verdict == Verdict::kGoto ? Verdict::kJump : inside.verdict;
    if (LetsGo(inside, of_inside, inside.jump_target, depth + 1)) return true;
  }
  return false;
}

std::optional<std::vector<RuleCondition>> ChainGraph::ConditionsOf(const Rule& rule, const MappedVerdict& mapped) {
  if (!rule.map_understood || mapped.key.empty() || mapped.may_be_gone) return std::nullopt;
  return mapped.key;
}

}  // namespace conntally
