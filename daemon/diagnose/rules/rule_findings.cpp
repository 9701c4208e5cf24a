#include "daemon/diagnose/rules/rule_findings.h"

#include <spdlog/fmt/fmt.h>

#include "daemon/diagnose/rules/connections/connection_findings.h"
#include "daemon/diagnose/rules/fix_trial.h"
#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/translation/translation_findings.h"
#include "daemon/diagnose/rules/upkeep/upkeep_findings.h"

namespace conntally::diagnose {
namespace {

void TellWhatIsNotWalked(const RuleCase& rules, Report& report) {
  for (const ChainRef ref : rules.walker.not_walked()) {
    const RuleChain& chain = rules.walker.chain(ref);
    report.not_checked.push_back({fmt::format("table {} {}, chain {}", NameOf(chain.family), chain.table, chain.name),
                                  std::string("rules of ") + NameOf(chain.family) +
                                      (chain.hook == "ingress" || chain.hook == "egress" ? " at " + chain.hook : "") +
                                      " are read but not evaluated: look at them with nft list ruleset"});
  }
}

}  // namespace

RuleOutcome CheckRules(const RuleInputs& inputs, Report& report) {
  const RuleCase rules(inputs);
  RuleOutcome outcome;
  const std::size_t checked_before = report.checked.size();
  if (rules.narrowed()) {
    outcome = CheckAskedTraffic(rules, report);
  }
  CheckWatchedTraffic(rules, report);
  if (!rules.narrowed()) CheckStoppingNow(rules, report);
  CheckNeighbours(rules, outcome, report);
  CheckAnswers(rules, report);
  CheckLaterPackets(rules, report);
  CheckRelated(rules, report);
  CheckOtherWaysIn(rules, report);
  CheckStaleEntries(rules, report);
  CheckArp(rules, report);
  CheckDestinationTranslation(rules, report);
  CheckSourceTranslation(rules, report);
  CheckRuleLimits(rules, report);
  TryFixes(rules, report);
  CheckSuspects(rules, report);
  CheckSavedRules(rules, report);
  CheckLeftLogRules(rules, report);
  TellWhatIsNotWalked(rules, report);
  // A known rule surely stops what it stops; but without all rules, it is not known that nothing stops the packet.
  outcome.unread = rules.unread;
  if (!rules.unread.empty()) {
    report.checked.resize(checked_before);
    if (outcome.passes == Match::kYes) outcome.passes = Match::kMaybe;
  }
  return outcome;
}

}  // namespace conntally::diagnose
