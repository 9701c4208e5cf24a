// Which log prefixes belong to accepted packets, and so do not mean a drop. Pure; any thread.
#pragma once

#include <set>
#include <string>

#include "collectors/rules/firewall_reading.h"

namespace conntally {

// Prefixes, without trailing spaces, of log rules whose packets the same rule accepts, or the next rule with the same
// conditions or none. A prefix that another log rule also has is left out.
std::set<std::string> PrefixesLetThrough(const FirewallReading& rules);

}  // namespace conntally
