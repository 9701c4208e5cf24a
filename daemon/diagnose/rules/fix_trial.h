// Whether a command that changes rules does what it is printed for, and nothing more: it is tried on a copy of the
// reading, which is walked again. Pure but for the routes that a walk asks for; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// Of every fix with edits of a finding that says what it is to cure: it stays only if all of that passes then, with its
// answers, and if nothing passes besides that was stopped by another rule than the one that is blamed. Where more rules
// stop it, their accepts are added to the command. What is offered no more becomes something to decide.
void TryFixes(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
