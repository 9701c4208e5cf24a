#include "daemon/diagnose/rules/rule_findings.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>

#include "daemon/diagnose/rules/fix_trial.h"

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

std::string Traffic(const Packet& packet) {
  std::string text = "traffic";
  if (packet.protocol) {
    switch (*packet.protocol) {
      case IPPROTO_TCP: text = "TCP"; break;
      case IPPROTO_UDP: text = "UDP"; break;
      case IPPROTO_ICMP: text = "ICMP"; break;
      case IPPROTO_ICMPV6: text = "ICMPv6"; break;
      default: text = "protocol " + std::to_string(*packet.protocol);
    }
  }
  if (packet.source) text += " from " + packet.source->ToString();
  if (packet.destination && packet.destination_is_local != true) text += " to " + packet.destination->ToString();
  if (packet.destination_port && packet.destination_port->first == packet.destination_port->last) {
    text += " to port " + std::to_string(packet.destination_port->first);
  } else if (packet.source_port && packet.source_port->first == packet.source_port->last) {
    text += " from port " + std::to_string(packet.source_port->first);
  }
  return text;
}

RuleOutcome CheckRules(const RuleInputs& inputs, Report& report) {
  const RuleCase rules(inputs);
  RuleOutcome outcome;
  const std::size_t checked_before = report.checked.size();
  if (rules.narrowed()) {
    outcome = CheckAskedTraffic(rules, report);
  }
  CheckWatchedTraffic(rules, report);
  if (!rules.narrowed()) CheckStoppingNow(rules, report);
  CheckNeighbours(rules, report);
  CheckAnswers(rules, report);
  CheckLaterPackets(rules, report);
  CheckRelated(rules, report);
  CheckOtherWaysIn(rules, report);
  CheckStaleEntries(rules, report);
  CheckArp(rules, report);
  CheckTranslation(rules, report);
  CheckRuleLimits(rules, report);
  TryFixes(rules, report);
  CheckSuspects(rules, report);
  CheckSavedRules(rules, report);
  CheckLeftLogRules(rules, report);
  TellWhatIsNotWalked(rules, report);
  // A rule that is known stops what it stops; that nothing does, a part of the rules does not tell.
  outcome.unread = rules.unread;
  if (!rules.unread.empty()) {
    report.checked.resize(checked_before);
    if (outcome.passes == Match::kYes) outcome.passes = Match::kMaybe;
  }
  return outcome;
}

}  // namespace conntally::diagnose
