// Findings of what follows a connection's first packet: answers, later packets, related ICMP, entries of conntrack.
// Pure but for the routes that they ask for; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// established-not-accepted
void CheckAnswers(const RuleCase& rules, Report& report);
// drop-rule, drop-policy, reject-rule: of packets of accepted connections that come here and go no further
void CheckLaterPackets(const RuleCase& rules, Report& report);
// related-dropped: ICMP without which long packets are lost
void CheckRelated(const RuleCase& rules, Report& report);
// stale-entry: entries that still lead to where no rule sends new ones
void CheckStaleEntries(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
