// How packets get from chain to chain within one ruleset: the jumps into each chain, the paths that lead to it, and
// which rules packets do not return from. Pure; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "collectors/rules/ruleset.h"

namespace conntally {

inline constexpr int kJumpsMax = 16;  // NFT_JUMP_STACK_SIZE; legacy tables allow more, which is not used in practice

class ChainGraph {
 public:
  // The ruleset must outlive it.
  explicit ChainGraph(const Ruleset& ruleset);

  // nullptr: no such chain.
  const RuleChain* Find(RuleFamily family, std::string_view table, std::string_view name) const;

  // A rule that sends packets into a chain.
  struct Entrance {
    const RuleChain* chain = nullptr;       // the rule's
    std::size_t rule = 0;                   // index in the ruleset
    const MappedVerdict* mapped = nullptr;  // the element of the rule's verdict map
  };
  const std::vector<Entrance>& EntrancesOf(const RuleChain& chain) const;

  // Whether a packet that the rule matches may leave the chain without being dropped; it then skips the later rules.
  bool LetsGo(const Rule& rule) const { return LetsGo(rule, rule.verdict, rule.jump_target, 0); }
  bool LetsGo(const Rule& rule, const MappedVerdict& mapped) const {
    return LetsGo(rule, mapped.verdict, mapped.jump_target, 0);
  }

  // The conditions for packets that a verdict map sends there; nullptr if the map's key is not understood.
  static const std::vector<RuleCondition>* ConditionsOf(const Rule& rule, const MappedVerdict& mapped);

  // The path from outside into a chain, backwards, as far as it is the only one.
  struct Way {
    enum class From : std::uint8_t { kHook, kSeveralChains, kNowhere };
    std::vector<const Entrance*> entrances;
    From from = From::kHook;
  };
  Way OnlyWayTo(const RuleChain& chain) const;

  // Computes a value for a chain over all paths that lead to it: `at_hook` for a base chain; for any other chain,
  // `join` over `extend(entrance, value of the entrance's chain)`; `nothing` for a chain without entrances. `known`
  // caches values.
  template <typename Value, typename Extend, typename Join>
  Value OverAllWaysTo(const RuleChain& chain, const Value& at_hook, const Value& nothing, const Extend& extend,
                      const Join& join, std::map<const RuleChain*, Value>& known, int depth = 0) const {
    if (chain.base) return at_hook;
    const auto [kept, added] = known.try_emplace(&chain, nothing);
    if (!added || depth >= kJumpsMax) return kept->second;
    Value value = nothing;
    for (const Entrance& entrance : EntrancesOf(chain)) {
      const Value before = OverAllWaysTo(*entrance.chain, at_hook, nothing, extend, join, known, depth + 1);
      value = join(value, extend(entrance, before));
    }
    return known[&chain] = value;
  }

 private:
  bool LetsGo(const Rule& rule, Verdict verdict, std::string_view target, int depth) const;

  using ChainKey = std::tuple<RuleFamily, std::string_view, std::string_view>;
  const Ruleset& ruleset_;
  std::map<ChainKey, const RuleChain*> chains_;
  mutable std::optional<std::map<const RuleChain*, std::vector<Entrance>>> entrances_;  // computed on demand
};

}  // namespace conntally
