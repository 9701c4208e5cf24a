// All findings that rules explain. Depends only on its inputs, files under their root, and the routes that it looks up.
// One thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"
#include "daemon/diagnose/facts/rule_outcome.h"

namespace conntally::diagnose {

// Also reports which rules could not be evaluated.
RuleOutcome CheckRules(const RuleInputs& inputs, Report& report);

}  // namespace conntally::diagnose
