// The checks of routes, links and sockets. Each looks for one kind of cause and adds its findings, and a line that says
// what it checked. Pure functions of the Case; any thread.
#pragma once

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {

void CheckForwarding(const Case& facts, Report& report);  // forwarding-off, no-route
void CheckWhoseAddress(const Case& facts,
                       Report& report);  // no-route: no host has the address, or none answers for it
// no-route, rp-filter: an address of this host that the kernel does not answer for, does not take, or does not let in
void CheckOwnAddress(const Case& facts, Report& report);
// Adds a finding no-route, which the rules may make less certain.
void AddUnreached(const Case& facts, std::string title, double certainty, std::vector<std::string> evidence,
                  std::string cause, std::string decide, Report& report);
// drop-rule for traffic control, IPsec and the kernel's own checks; no-route for answers that leave by another link;
// listener-other-address for those from another address
void CheckOutsideTheFirewall(const Case& facts, Report& report);
void CheckReversePath(const Case& facts, Report& report);  // rp-filter
void CheckListeners(const Case& facts, Report& report);    // no-listener, listener-other-address, listen-queue-full
void CheckEcho(const Case& facts, Report& report);         // no-listener, for ping
void CheckHelpers(const Case& facts, Report& report);      // helper-missing

}  // namespace conntally::diagnose
