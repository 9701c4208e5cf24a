// Findings that rules and policies stop traffic: the traffic in question, traffic seen on the wire, and traffic stopped
// during the observation. Pure, except for the routes that they look up; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"
#include "daemon/diagnose/facts/rule_outcome.h"

namespace conntally::diagnose {

// reject-rule, drop-rule, drop-policy, late-accept, dnat-not-forwarded: for the traffic in question.
RuleOutcome CheckAskedTraffic(const RuleCase& rules, Report& report);
// The same ids, for traffic seen on the wire and not accepted.
void CheckWatchedTraffic(const RuleCase& rules, Report& report);
// The same ids, for traffic being stopped now, if the question narrows nothing.
void CheckStoppingNow(const RuleCase& rules, Report& report);
// The same ids, for neighbour discovery, which IPv6 requires
void CheckNeighbours(const RuleCase& rules, const RuleOutcome& outcome, Report& report);
// drop-rule, drop-policy: for ARP
void CheckArp(const RuleCase& rules, Report& report);
// drop-rule: for rules that check the link by which a source is reached, if its packets may arrive by another link
void CheckOtherWaysIn(const RuleCase& rules, Report& report);
// reject-rule, drop-rule: rules that stop something during the observation, if nothing else explains it
void CheckSuspects(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
