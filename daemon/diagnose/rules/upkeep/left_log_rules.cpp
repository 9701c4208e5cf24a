// LOG rules that somebody added for debugging and forgot: they cost time for each packet, and fill the log.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/upkeep/upkeep_findings.h"

namespace conntally::diagnose {
namespace {

bool SpeaksOfDebugging(const Rule& rule) {
  std::string text = rule.log_prefix + " " + rule.comment;
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 9> kWords = {"debug", "dbg", "test", "tmp",      "temp",
                                                      "trace", "xxx", "todo", "remove me"};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) { return text.find(word) != text.npos; });
}

// A later rule in the chain stops the same packets: then it logs refused packets, which is usual.
bool LogsWhatIsStopped(const Ruleset& ruleset, const RuleChain& chain, std::size_t at) {
  const auto same = [](const Rule& a, const Rule& b) {
    if (a.conditions.size() < b.conditions.size()) return false;
    return std::all_of(b.conditions.begin(), b.conditions.end(), [&](const RuleCondition& condition) {
      return std::any_of(a.conditions.begin(), a.conditions.end(), [&](const RuleCondition& other) {
        return other.kind == condition.kind && other.negated == condition.negated &&
               other.addresses == condition.addresses && other.numbers == condition.numbers &&
               other.interfaces == condition.interfaces && other.set == condition.set;
      });
    });
  };
  for (std::size_t i = at + 1; i < chain.first_rule + chain.rule_count; ++i) {
    const Rule& rule = ruleset.rules[i];
    if ((rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject) && same(ruleset.rules[at], rule))
      return true;
  }
  return chain.base && chain.policy == Verdict::kDrop;
}

void Tell(const RuleCase& rules, RuleRef ref, const std::string& what, double certainty, Report& report) {
  const Rule& rule = rules.walker.rule(ref);
  Finding finding;
  finding.id = FindingId::kDebugLogRule;
  finding.certainty = certainty;
  finding.title = fmt::format("Rule {} of chain {} {}", rule.position + 1, rule.chain, what);
  finding.evidence = {rules.commands.Place(ref)};
  if (const auto packets = rules.Packets(ref))
    finding.evidence.push_back(fmt::format("it has matched {} packets", Grouped(*packets)));
  finding.cause = "each packet that it takes costs a line of log and time; it refuses nothing";
  // A rule that also decides must not be deleted for that.
  if (rule.verdict == Verdict::kLog || rule.verdict == Verdict::kContinue) {
    auto gone = rules.commands.Delete(ref, "that traffic is no longer logged");
    if (gone) {
      finding.fix.push_back(*std::move(gone));
    } else {
      finding.decide = "whether the rule is to go; no command is offered: " + gone.error().message;
    }
  } else {
    finding.decide = "whether the rule is needed without that part: it does more";
  }
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckLeftLogRules(const RuleCase& rules, Report& report) {
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    const Ruleset& ruleset = *one.ruleset;
    for (const RuleChain& chain : ruleset.chains) {
      for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
        const Rule& rule = ruleset.rules[i];
        if (rule.traces) Tell(rules, {backend, i}, "traces packets, as for debugging", kHygieneMax - 0.02, report);
        const bool logs = rule.verdict == Verdict::kLog && !rule.nflog_group;
        if (!logs || rule.traces) continue;
        if (SpeaksOfDebugging(rule)) {
          Tell(rules, {backend, i}, "logs, and its prefix or comment speaks of debugging", kHygieneMax - 0.04, report);
        } else if (rule.limits.empty() && rules.Packets({backend, i}).value_or(1) > 0 && rule.conditions.empty() &&
                   !LogsWhatIsStopped(ruleset, chain, i)) {
          Tell(rules, {backend, i}, "logs every packet, without a limit", kHygieneMax - 0.08, report);
        }
      }
    }
  }
  report.checked.push_back("rules that log");
}

}  // namespace conntally::diagnose
