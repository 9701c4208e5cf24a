// A listener to conntrack events that never gets one, in an empty network namespace of its own. Where
// nf_conntrack_events is 2, the kernel prepares new connections for events, in whatever namespace, only while there is
// a listener in any (net/netfilter/nf_conntrack_ecache.c, nf_ct_ecache_ext_add); a program that takes events before
// netlink makes messages of them is none.
//
// Threads: any.
#pragma once

#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

// The namespace lives as long as the socket. Needs CAP_SYS_ADMIN. Starts a thread, which has ended when it returns.
Result<NetlinkSocket> OpenIdleListener();

}  // namespace conntally
