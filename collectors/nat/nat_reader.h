// Reads from the kernel's table what a NatCensus counts: the translated entries, and those that this host makes itself
// from an address that sources are translated to. Needs CAP_NET_ADMIN.
//
// The cost is a walk through the kernel's whole table for each of some dumps, and the reading of what is translated.
//
// Threads: any; of the network namespace that the calling thread is in.
#pragma once

#include <stop_token>
#include <string_view>

#include "collectors/nat/nat_census.h"
#include "collectors/system/result.h"

namespace conntally {

// Ends early, with an error, when it shall stop.
Status ReadTranslated(const std::stop_token& stop, NatCensus& census);

// Whether a kernel of this release (uname -r) gives the port of a TCP connection that has ended to a new one when it
// finds no other (nf_nat_core.c, nf_nat_may_kill): Linux 6.6 does, 6.1 does not.
bool TakesClosedPortsAgain(std::string_view release);
bool ThisKernelTakesClosedPortsAgain();

}  // namespace conntally
