// The metrics of named networks. Pure; any thread.
#pragma once

#include <vector>

#include "daemon/exposition/metric_family.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

void AddGroups(MetricFamilyList& list, const std::vector<NamedGroup>& groups);

}  // namespace conntally
