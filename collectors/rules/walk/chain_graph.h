// How packets get from chain to chain within one ruleset: the jumps into each, and which rules packets do not come back
// from. Pure; any thread.
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

inline constexpr int kJumpsMax = 16;  // NFT_JUMP_STACK_SIZE; the legacy tables allow more, which nobody uses

class ChainGraph {
 public:
  // The ruleset outlives it.
  explicit ChainGraph(const Ruleset& ruleset);

  // nullptr: there is none.
  const RuleChain* Find(RuleFamily family, std::string_view table, std::string_view name) const;

  // A rule that sends packets into a chain.
  struct Entrance {
    const RuleChain* chain = nullptr;               // the rule's
    std::size_t rule = 0;                           // index in the ruleset
    std::optional<std::vector<RuleCondition>> key;  // of a verdict map: what of the packet leads there, if it is known
  };
  const std::vector<Entrance>& EntrancesOf(const RuleChain& chain) const;

  // Whether a packet that the rule matches may leave the chain without being dropped. It then skips the rules after it.
  bool LetsGo(const Rule& rule) const { return LetsGo(rule, rule.verdict, rule.jump_target, 0); }
  bool LetsGo(const Rule& rule, const MappedVerdict& mapped) const {
    return LetsGo(rule, mapped.verdict, mapped.jump_target, 0);
  }

  // What a packet has that a verdict map sends there; nullopt when the map's key is not understood.
  static std::optional<std::vector<RuleCondition>> ConditionsOf(const Rule& rule, const MappedVerdict& mapped);

 private:
  bool LetsGo(const Rule& rule, Verdict verdict, std::string_view target, int depth) const;

  using ChainKey = std::tuple<RuleFamily, std::string_view, std::string_view>;
  const Ruleset& ruleset_;
  std::map<ChainKey, const RuleChain*> chains_;
  std::map<const RuleChain*, std::vector<Entrance>> entrances_;
};

}  // namespace conntally
