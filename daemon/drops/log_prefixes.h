// Which log prefixes tell of packets that are let through, and hence of no drop. Pure; any thread.
#pragma once

#include <set>
#include <string>

#include "collectors/rules/firewall_reading.h"

namespace conntally {

// Prefixes, without trailing spaces, of log rules whose packets are accepted by the same rule, or by the next one with
// the same conditions or none. A prefix that any other log rule has, too, is not among them.
std::set<std::string> PrefixesLetThrough(const FirewallReading& rules);

}  // namespace conntally
