// Findings of NAT. Pure but for the routes that they ask for; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// no-masquerade: source NAT that is missing, or gives an address that nobody here has
void CheckSourceTranslation(const RuleCase& rules, Report& report);
// dnat-not-forwarded: of every DNAT rule there is, and of what leads to 127.0.0.0/8
void CheckDestinationTranslation(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
