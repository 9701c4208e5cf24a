// The checks that need no evaluation of rules: each looks for one kind of cause and adds its findings, and a line of
// what it looked at. Pure functions of the Case; any thread.
#pragma once

#include "daemon/diagnose/case.h"
#include "daemon/diagnose/finding.h"

namespace conntally::diagnose {

void CheckTablePressure(const Case& facts, Report& report);  // table-full, table-near-full, boot-burst
void CheckTableCounters(const Case& facts, Report& report);  // insert-failed, invalid-packets, buckets-too-few
void CheckTimeouts(const Case& facts, Report& report);       // timeouts-too-long
void CheckSources(const Case& facts, Report& report);        // port-scan, connection-churn, connection-leak
void CheckSynFlood(const Case& facts, Report& report);       // syn-flood
void CheckSourceLimits(const Case& facts, Report& report);   // source-at-limit, by the configuration
void CheckForwarding(const Case& facts, Report& report);     // forwarding-off, no-route
void CheckReversePath(const Case& facts, Report& report);    // rp-filter
void CheckListeners(const Case& facts, Report& report);      // no-listener, listener-other-address, listen-queue-full
void CheckTracking(const Case& facts, Report& report);       // events-off, conntrack-inactive
void CheckHelpers(const Case& facts, Report& report);        // helper-missing
void CheckSavedSysctls(const Case& facts, Report& report);   // unpersisted-sysctl

// Lines that say who holds the table: sources, states, and whether it is one source, a few or thousands.
std::vector<std::string> DescribeHolders(const Case& facts);

// What was seen on the wire of the traffic that was asked about; empty without an observation.
std::vector<std::string> DescribeWatched(const Case& facts);

// The likeliest first. What was so once comes behind what is so now, however much of it was counted.
void RankFindings(Report& report);

// When there is no other finding: what that means, and what points elsewhere.
Finding NothingFound(const Case& facts, const Report& report);

}  // namespace conntally::diagnose
