// Findings about NAT. Pure, except for the routes that they look up; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// no-masquerade: source NAT is missing, or gives an address that no link here has
void CheckSourceTranslation(const RuleCase& rules, Report& report);
// dnat-not-forwarded: for every DNAT rule, and for DNAT to 127.0.0.0/8
void CheckDestinationTranslation(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
