// Findings of how rules are kept: limits that are reached, rules that are not as saved, logging that was left on. Pure
// of their inputs but for files under their root; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// source-at-limit, by rules
void CheckRuleLimits(const RuleCase& rules, Report& report);
// unsaved-rules
void CheckSavedRules(const RuleCase& rules, Report& report);
// debug-log-rule
void CheckLeftLogRules(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
