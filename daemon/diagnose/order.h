// Filters and orders the findings of all checks. Pure; any thread.
#pragma once

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

// Removes findings that explain why the traffic in question is stopped or misrouted, if it was seen to be answered. If
// only the conntrack table shows that it works, removes only the uncertain ones.
void LeaveOutWhatIsSeenToWork(const Case& facts, Report& report);

// The likeliest first. Past faults come after present ones, whatever their counts.
void RankFindings(Report& report);

// The finding if there is no other: what was checked, and where to look next.
Finding NothingFound(const Case& facts, const Report& report);

}  // namespace conntally::diagnose
