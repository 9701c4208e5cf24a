#include "collectors/rules/walk/packet_paths.h"

#include <algorithm>

namespace conntally {
namespace {

constexpr int kJumpsMax = 16;  // NFT_JUMP_STACK_SIZE

}  // namespace

PacketPaths::PacketPaths(const Ruleset& ruleset) : ruleset_(ruleset) {
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

const RuleChain* PacketPaths::Find(RuleFamily family, std::string_view table, std::string_view name) const {
  const auto found = chains_.find({family, table, name});
  return found != chains_.end() ? found->second : nullptr;
}

const std::vector<PacketPaths::Entrance>& PacketPaths::EntrancesOf(const RuleChain& chain) const {
  static const std::vector<Entrance> kNone;
  const auto found = entrances_.find(&chain);
  return found != entrances_.end() ? found->second : kNone;
}

bool PacketPaths::LetsGo(const Rule& rule, Verdict verdict, std::string_view target, int depth) const {
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

std::optional<std::vector<RuleCondition>> PacketPaths::ConditionsOf(const Rule& rule, const MappedVerdict& mapped) {
  if (!rule.map_understood || mapped.key.empty() || mapped.may_be_gone) return std::nullopt;
  return mapped.key;
}

const RuleSet* FindSet(const Rule& rule, const RuleCondition& condition, const std::vector<RuleSet>* sets, const std::vector<RuleSet>* ipsets) {
  const std::vector<RuleSet>* list = condition.ipset ? ipsets : sets;
  if (list == nullptr) return nullptr;
  const auto found = std::find_if(list->begin(), list->end(), [&](const RuleSet& set) {
    return set.name == condition.set && (condition.ipset || (set.family == rule.family && set.table == rule.table));
  });
  return found != list->end() ? &*found : nullptr;
}

Membership MembershipOf(const IpAddress& address, const RuleSet& set) {
  const SetElement* narrowest = nullptr;
  for (const SetElement& element : set.elements) {
    if (!element.addresses.Contains(address)) continue;
    const bool narrower = narrowest == nullptr || (narrowest->addresses.first <= element.addresses.first &&
                                                   element.addresses.last <= narrowest->addresses.last);
    if (narrower) narrowest = &element;
  }
  if (narrowest != nullptr) return narrowest->no_match ? Membership::kNo : Membership::kYes;
  return set.complete ? Membership::kNo : Membership::kMaybe;
}

}  // namespace conntally
