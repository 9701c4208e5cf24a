// The checks of the conntrack table and of the sources that fill it. Each looks for one kind of cause and adds its
// findings, and a line that says what it checked. Pure functions of the Case; any thread.
#pragma once

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

void CheckTablePressure(const Case& facts, Report& report);  // table-full, table-near-full, boot-burst
void CheckTableCounters(const Case& facts, Report& report);  // insert-failed, invalid-packets, buckets-too-few
void CheckNatPorts(const Case& facts, Report& report);       // nat-ports-exhausted
void CheckTimeouts(const Case& facts, Report& report);       // timeouts-too-long
void CheckSources(const Case& facts, Report& report);        // port-scan, connection-churn, connection-leak
void CheckSynFlood(const Case& facts, Report& report);       // syn-flood
void CheckSourceLimits(const Case& facts, Report& report);   // source-at-limit, for limits in the configuration
void CheckTracking(const Case& facts, Report& report);       // events-off, conntrack-inactive
void CheckSavedSysctls(const Case& facts, Report& report);   // unpersisted-sysctl

// Lines about the sources that hold the table, the states, and whether it is one source, a few or thousands.
std::vector<std::string> DescribeHolders(const Case& facts);

}  // namespace conntally::diagnose
