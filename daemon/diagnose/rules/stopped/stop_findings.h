// Findings that rules and policies stop traffic: what was asked about, what was seen on the wire, what is stopped
// meanwhile. Pure but for the routes that they ask for; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"
#include "daemon/diagnose/facts/rule_outcome.h"

namespace conntally::diagnose {

// reject-rule, drop-rule, drop-policy, late-accept, dnat-not-forwarded: of the traffic that was asked about.
RuleOutcome CheckAskedTraffic(const RuleCase& rules, Report& report);
// The same ids, of traffic that was seen on the wire and not let in.
void CheckWatchedTraffic(const RuleCase& rules, Report& report);
// The same ids, of what is being stopped now, when nothing was asked.
void CheckStoppingNow(const RuleCase& rules, Report& report);
// The same ids, of the neighbour discovery that IPv6 cannot do without
void CheckNeighbours(const RuleCase& rules, Report& report);
// drop-rule, drop-policy: of ARP
void CheckArp(const RuleCase& rules, Report& report);
// drop-rule: of rules that ask by which link a source is reached, where it may arrive by another
void CheckOtherWaysIn(const RuleCase& rules, Report& report);
// reject-rule, drop-rule: rules that stop something meanwhile, where nothing else explains it
void CheckSuspects(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
