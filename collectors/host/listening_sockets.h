// Listening sockets: TCP sockets that accept, and unconnected UDP sockets, by sock_diag. Needs no privilege. Reads the
// calling thread's network namespace.
//
// Sources: sock_diag(7), linux/inet_diag.h, net/ipv4/inet_diag.c.
#pragma once

#include <vector>

#include "collectors/host/network.h"
#include "collectors/system/result.h"

namespace conntally {

Result<std::vector<ListeningSocket>> ReadListeningSockets();

// The number of established TCP connections between this host and others, without loopback.
Result<std::uint64_t> CountEstablishedSockets();

}  // namespace conntally
