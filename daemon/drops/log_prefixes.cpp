#include "daemon/drops/log_prefixes.h"

#include <string_view>

namespace conntally {
namespace {

// An iptables rule's conditions, without its target.
std::string_view WithoutTarget(std::string_view text) { return text.substr(0, text.find("-j ")); }

bool AsksForTheSame(const Rule& log, const Rule& next) {
  if (next.conditions.empty() && next.fully_understood && next.limits.empty()) return true;
  const bool iptables = log.text.find("-j ") != log.text.npos && next.text.find("-j ") != next.text.npos;
  return iptables && WithoutTarget(log.text) == WithoutTarget(next.text);
}

bool LetsThrough(const Ruleset& ruleset, const RuleChain& chain, std::size_t index) {
  const Rule& rule = ruleset.rules[index];
  if (rule.verdict == Verdict::kAccept) return true;
  if (rule.verdict != Verdict::kLog && rule.verdict != Verdict::kContinue) return false;
  if (index + 1 >= chain.first_rule + chain.rule_count) return false;
  const Rule& next = ruleset.rules[index + 1];
  return next.verdict == Verdict::kAccept && AsksForTheSame(rule, next);
}

}  // namespace

std::set<std::string> PrefixesLetThrough(const FirewallReading& rules) {
  std::set<std::string> let_through;
  std::set<std::string> others;
  for (const auto& [backend, read] : rules.backends) {
    if (!read.present || !read.ruleset) continue;
    for (const RuleChain& chain : read.ruleset->chains) {
      for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
        std::string prefix = read.ruleset->rules[i].log_prefix;
        prefix.resize(prefix.find_last_not_of(' ') + 1);
        if (!prefix.empty()) (LetsThrough(*read.ruleset, chain, i) ? let_through : others).insert(prefix);
      }
    }
  }
  for (const std::string& prefix : others) let_through.erase(prefix);
  return let_through;
}

}  // namespace conntally
