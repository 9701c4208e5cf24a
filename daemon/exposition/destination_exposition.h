// The metrics of destinations. Pure; any thread.
#pragma once

#include "daemon/exposition/metric_family.h"
#include "daemon/observation/exported/exported_destinations.h"

namespace conntally {

void AddDestinations(MetricFamilyList& list, const ExportedDestinations::Split& destinations);

}  // namespace conntally
