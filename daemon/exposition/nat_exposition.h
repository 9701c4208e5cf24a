// The metrics of translated addresses' ports. Pure; any thread.
#pragma once

#include <vector>

#include "collectors/nat/nat_figures.h"
#include "daemon/exposition/metric_family.h"

namespace conntally {

void AddNat(MetricFamilyList& list, const std::vector<PortUse>& uses);

}  // namespace conntally
