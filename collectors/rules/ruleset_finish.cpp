#include "collectors/rules/ruleset_finish.h"

#include <map>
#include <optional>
#include <string>
#include <tuple>

namespace conntally {
namespace {

// kDrop or kReject if the chain drops (or rejects) every packet.
std::optional<Verdict> OnlyVerdict(const Ruleset& ruleset, const RuleChain& chain) {
  for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
    const Rule& rule = ruleset.rules[i];
    if (rule.verdict == Verdict::kContinue || rule.verdict == Verdict::kLog) continue;
    const bool drops = rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject;
    if (!drops || rule.jump_target == chain.name) return std::nullopt;
    if (rule.fully_understood && rule.conditions.empty() && rule.limits.empty() && rule.map.empty())
      return rule.verdict;
  }
  return std::nullopt;
}

}  // namespace

void FinishRuleset(Ruleset& ruleset) {
  using ChainKey = std::tuple<RuleFamily, std::string_view, std::string_view>;
  std::map<ChainKey, RuleChain*> chains;
  for (RuleChain& chain : ruleset.chains) chains[{chain.family, chain.table, chain.name}] = &chain;
  std::map<std::pair<RuleFamily, std::string_view>, RuleTable*> tables;
  for (RuleTable& table : ruleset.tables) tables[{table.family, table.name}] = &table;

  for (RuleChain& chain : ruleset.chains) chain.backend = ruleset.backend;
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    Rule& rule = ruleset.rules[i];
    rule.backend = ruleset.backend;
    rule.by_goto = rule.verdict == Verdict::kGoto;
    if (const auto chain = chains.find({rule.family, rule.table, rule.chain}); chain != chains.end()) {
      if (chain->second->rule_count == 0) chain->second->first_rule = i;
      rule.position = static_cast<std::uint32_t>(chain->second->rule_count++);
    }
    if (const auto table = tables.find({rule.family, rule.table}); table != tables.end()) {
      ++table->second->rules;
      if (!rule.has_counter) ++table->second->rules_uncounted;
    }
  }
  // Twice: a chain that only drops may be reached through another.
  for (int round = 0; round < 2; ++round) {
    for (Rule& rule : ruleset.rules) {
      if (rule.verdict != Verdict::kJump && rule.verdict != Verdict::kGoto) continue;
      const auto chain = chains.find({rule.family, rule.table, rule.jump_target});
      if (chain == chains.end()) continue;
      if (const auto verdict = OnlyVerdict(ruleset, *chain->second)) rule.verdict = *verdict;
    }
  }
}

}  // namespace conntally
