// The metrics of exported sources, and of all others together. Pure; any thread.
#pragma once

#include "daemon/exposition/metric_family.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

void AddSources(MetricFamilyList& list, const Snapshot& snapshot);

}  // namespace conntally
