// What comes of all findings together. Pure; any thread.
#pragma once

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

// Findings that tell why what was asked about is stopped or goes astray go, where it was seen to be answered; where the
// table alone tells of that, those go that are in doubt.
void LeaveOutWhatIsSeenToWork(const Case& facts, Report& report);

// The likeliest first. What was so once comes behind what is so now, however much of it was counted.
void RankFindings(Report& report);

// When there is no other finding: what that means, and what points elsewhere.
Finding NothingFound(const Case& facts, const Report& report);

}  // namespace conntally::diagnose
