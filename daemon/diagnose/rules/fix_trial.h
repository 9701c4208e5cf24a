// Whether a command that changes rules does what it should, and nothing more: tries it on a copy of the rules, and
// walks through them again. Pure, except for the routes that a walk looks up; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// Tries every fix with edits, of each finding that has cures. The fix stays only if then every cure's packet and its
// answers pass, and nothing else passes that a rule other than the blamed one stopped. If further rules stop the
// packet, accepts for these are added to the command. A removed fix becomes something to decide.
void TryFixes(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
