// The metrics of firewall rules. Pure; any thread.
#pragma once

#include "collectors/rules/rule_counters.h"
#include "daemon/exposition/metric_family.h"

namespace conntally {

void AddRules(MetricFamilyList& list, const RuleFigures& figures);

}  // namespace conntally
