// Describes what was seen on the wire of the traffic in question. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

// Empty without an observation.
std::vector<std::string> DescribeWatched(const Case& facts);
// Adds it to the finding's evidence.
void TellWatched(const Case& facts, Finding& finding);

}  // namespace conntally::diagnose
