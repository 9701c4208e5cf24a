// Who listens: TCP sockets that accept and UDP sockets that are open to anybody, by sock_diag. Needs no privilege.
// Reads the calling thread's network namespace.
//
// Sources: sock_diag(7), linux/inet_diag.h, net/ipv4/inet_diag.c.
#pragma once

#include <vector>

#include "collectors/host/network.h"
#include "collectors/system/result.h"

namespace conntally {

Result<std::vector<ListeningSocket>> ReadListeningSockets();

// How many TCP connections this host itself has established with others, loopback left out.
Result<std::uint64_t> CountEstablishedSockets();

}  // namespace conntally
