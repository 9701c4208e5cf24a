// All findings that rules explain. Pure of its inputs, but for files under their root and the routes that they ask for.
// One thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"
#include "daemon/diagnose/facts/rule_outcome.h"

namespace conntally::diagnose {

// And what of the rules could not be evaluated.
RuleOutcome CheckRules(const RuleInputs& inputs, Report& report);

}  // namespace conntally::diagnose
