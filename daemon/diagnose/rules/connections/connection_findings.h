// Findings about a connection after its first packet: answers, later packets, related ICMP, conntrack entries. Pure,
// except for the routes that they look up; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// established-not-accepted
void CheckAnswers(const RuleCase& rules, Report& report);
// drop-rule, drop-policy, reject-rule: for packets of accepted connections that arrive and are stopped
void CheckLaterPackets(const RuleCase& rules, Report& report);
// related-dropped: ICMP without which long packets are lost
void CheckRelated(const RuleCase& rules, Report& report);
// stale-entry: conntrack entries that send packets where no rule sends new ones
void CheckStaleEntries(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
