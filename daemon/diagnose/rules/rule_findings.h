// Findings that rules explain: a rule or a policy that refuses or drops what was asked about, accepts that come too
// late, answers that are not let through, translation that is missing or leads nowhere, limits that are reached, and
// rules that are not as saved. Pure of its inputs, but for files under their root and the routes that they ask for. One
// thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"
#include "daemon/diagnose/facts/rule_outcome.h"

namespace conntally::diagnose {

// All of the following, and what of the rules could not be evaluated.
RuleOutcome CheckRules(const RuleInputs& inputs, Report& report);

// reject-rule, drop-rule, drop-policy, late-accept, dnat-not-forwarded: of the traffic that was asked about.
RuleOutcome CheckAskedTraffic(const RuleCase& rules, Report& report);
// The same ids, of traffic that was seen on the wire and not let in.
void CheckWatchedTraffic(const RuleCase& rules, Report& report);
// The same ids, of what is being stopped now, when nothing was asked.
void CheckStoppingNow(const RuleCase& rules, Report& report);
// The same ids, of the neighbour discovery that IPv6 cannot do without
void CheckNeighbours(const RuleCase& rules, Report& report);
// established-not-accepted
void CheckAnswers(const RuleCase& rules, Report& report);
// drop-rule, drop-policy, reject-rule: of packets of accepted connections that come here and go no further
void CheckLaterPackets(const RuleCase& rules, Report& report);
// related-dropped: ICMP without which long packets are lost
void CheckRelated(const RuleCase& rules, Report& report);
// drop-rule: of rules that ask by which link a source is reached, where it may arrive by another
void CheckOtherWaysIn(const RuleCase& rules, Report& report);
// stale-entry: entries that still lead to where no rule sends new ones
void CheckStaleEntries(const RuleCase& rules, Report& report);
// drop-rule, drop-policy: of ARP
void CheckArp(const RuleCase& rules, Report& report);
// no-masquerade, and dnat-not-forwarded of every DNAT rule there is
void CheckTranslation(const RuleCase& rules, Report& report);
// source-at-limit, by rules
void CheckRuleLimits(const RuleCase& rules, Report& report);
// reject-rule, drop-rule: rules that stop something meanwhile, where nothing else explains it
void CheckSuspects(const RuleCase& rules, Report& report);
// unsaved-rules
void CheckSavedRules(const RuleCase& rules, Report& report);
// debug-log-rule
void CheckLeftLogRules(const RuleCase& rules, Report& report);

// "tcp from 192.0.2.7 to port 22"
std::string Traffic(const Packet& packet);

}  // namespace conntally::diagnose
