// What was seen on the wire of the traffic that was asked about, in words. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

// Empty without an observation.
std::vector<std::string> DescribeWatched(const Case& facts);
// As evidence of the finding.
void TellWatched(const Case& facts, Finding& finding);

}  // namespace conntally::diagnose
