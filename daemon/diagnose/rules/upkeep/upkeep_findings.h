// Findings about the upkeep of rules: limits that are reached, rules that differ from the saved ones, logging that was
// left on. Depend only on their inputs and files under their root; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// source-at-limit, for limits in rules
void CheckRuleLimits(const RuleCase& rules, Report& report);
// unsaved-rules
void CheckSavedRules(const RuleCase& rules, Report& report);
// debug-log-rule
void CheckLeftLogRules(const RuleCase& rules, Report& report);

}  // namespace conntally::diagnose
