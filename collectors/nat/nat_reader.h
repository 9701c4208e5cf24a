// Reads from the kernel's table what a NatCensus counts: translated entries, and connections that this host itself
// opens from an address to which sources are translated. Needs CAP_NET_ADMIN.
//
// It costs several walks through the kernel's whole table, and reading the translated entries.
//
// Threads: any; for the calling thread's network namespace.
#pragma once

#include <stop_token>
#include <string_view>

#include "collectors/nat/nat_census.h"
#include "collectors/system/result.h"

namespace conntally {

// Ends early with an error if `stop` is requested.
Status ReadTranslated(const std::stop_token& stop, NatCensus& census);

// Whether a kernel of this release (uname -r) reuses the port of an ended TCP connection when no other is free
// (nf_nat_core.c, nf_nat_may_kill): Linux 6.6 does, 6.1 does not.
bool TakesClosedPortsAgain(std::string_view release);
bool ThisKernelTakesClosedPortsAgain();

}  // namespace conntally
