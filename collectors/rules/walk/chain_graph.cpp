#include "collectors/rules/walk/chain_graph.h"

#include <algorithm>
#include <iterator>

namespace conntally {

ChainGraph::ChainGraph(const Ruleset& ruleset) : ruleset_(ruleset) {
  for (const RuleChain& chain : ruleset.chains) chains_[{chain.family, chain.table, chain.name}] = &chain;
}

const RuleChain* ChainGraph::Find(RuleFamily family, std::string_view table, std::string_view name) const {
  const auto found = chains_.find({family, table, name});
  return found != chains_.end() ? found->second : nullptr;
}

const std::vector<ChainGraph::Entrance>& ChainGraph::EntrancesOf(const RuleChain& chain) const {
  static const std::vector<Entrance> kNone;
  if (!entrances_) {
    entrances_.emplace();
    for (const RuleChain& from : ruleset_.chains) {
      for (std::size_t i = from.first_rule; i < from.first_rule + from.rule_count; ++i) {
        const Rule& rule = ruleset_.rules[i];
        const auto enters = [&](std::string_view target, const MappedVerdict* mapped) {
          const RuleChain* into = target.empty() ? nullptr : Find(rule.family, rule.table, target);
          if (into != nullptr) (*entrances_)[into].push_back({&from, i, mapped});
        };
        enters(rule.jump_target, nullptr);
        for (const MappedVerdict& mapped : rule.map) enters(mapped.jump_target, &mapped);
      }
    }
  }
  const auto found = entrances_->find(&chain);
  return found != entrances_->end() ? found->second : kNone;
}

ChainGraph::Way ChainGraph::OnlyWayTo(const RuleChain& chain) const {
  Way way;
  for (const RuleChain* at = &chain; !at->base; at = way.entrances.back()->chain) {
    const std::vector<Entrance>& entrances = EntrancesOf(*at);
    if (entrances.size() > 1) way.from = Way::From::kSeveralChains;
    if (entrances.empty() || std::ssize(way.entrances) >= kJumpsMax) way.from = Way::From::kNowhere;
    if (way.from != Way::From::kHook) break;
    way.entrances.push_back(&entrances[0]);
  }
  return way;
}

bool ChainGraph::LetsGo(const Rule& rule, Verdict verdict, std::string_view target, int depth) const {
  switch (verdict) {
    case Verdict::kAccept:
    case Verdict::kNat:
    case Verdict::kQueue: return true;
    case Verdict::kReturn:
    case Verdict::kGoto: return depth == 0;  // packets return from a chain that was jumped to
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
    // A goto's target is examined like a jump's.
    const Verdict of_inside = inside.verdict == Verdict::kGoto ? Verdict::kJump : inside.verdict;
    if (LetsGo(inside, of_inside, inside.jump_target, depth + 1)) return true;
  }
  return false;
}

const std::vector<RuleCondition>* ChainGraph::ConditionsOf(const Rule& rule, const MappedVerdict& mapped) {
  if (!rule.map_understood || mapped.key.empty() || mapped.may_be_gone) return nullptr;
  return &mapped.key;
}

}  // namespace conntally
