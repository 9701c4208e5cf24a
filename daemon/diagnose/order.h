// What comes of all findings together. Pure; any thread.
#pragma once

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

// The likeliest first. What was so once comes behind what is so now, however much of it was counted.
void RankFindings(Report& report);

// When there is no other finding: what that means, and what points elsewhere.
Finding NothingFound(const Case& facts, const Report& report);

}  // namespace conntally::diagnose
