#include "collectors/rules/walk/rule_edit.h"

#include <memory>
#include <utility>

namespace conntally {

FirewallReading Edited(const FirewallReading& reading, const RuleEdit& edit) {
  FirewallReading edited = reading;
  BackendReading& backend = edited.backends.at(edit.chain.backend);
  auto ruleset = std::make_shared<Ruleset>(*backend.ruleset);
  RuleChain& chain = ruleset->chains.at(edit.chain.chain);
  if (chain.rule_count == 0) chain.first_rule = ruleset->rules.size();  // an empty chain has no position
  const bool deletes = edit.kind == RuleEdit::Kind::kDelete;
  const std::size_t at = edit.kind == RuleEdit::Kind::kAppend ? chain.first_rule + chain.rule_count : edit.at.rule;
  const auto offset = static_cast<std::ptrdiff_t>(at);
  if (deletes) {
    ruleset->rules.erase(ruleset->rules.begin() + offset);
    backend.counters.erase(backend.counters.begin() + offset);
    --chain.rule_count;
  } else {
    Rule& rule = *ruleset->rules.insert(ruleset->rules.begin() + offset, edit.rule);
    rule.backend = edit.chain.backend;
    rule.family = chain.family;
    rule.table = chain.table;
    rule.chain = chain.name;
    backend.counters.insert(backend.counters.begin() + offset, std::nullopt);
    ++chain.rule_count;
  }
  for (RuleChain& other : ruleset->chains) {
    if (&other == &chain || other.first_rule < at || (deletes && other.first_rule == at)) continue;
    other.first_rule = deletes ? other.first_rule - 1 : other.first_rule + 1;
  }
  for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i)
    ruleset->rules[i].position = static_cast<std::uint32_t>(i - chain.first_rule);
  backend.ruleset = std::move(ruleset);
  return edited;
}

}  // namespace conntally
