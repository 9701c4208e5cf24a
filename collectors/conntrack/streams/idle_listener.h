// A listener for conntrack events that never gets one, in its own empty network namespace. With nf_conntrack_events=2
// the kernel prepares new connections for events, in every namespace, only while some namespace has a listener
// (net/netfilter/nf_conntrack_ecache.c, nf_ct_ecache_ext_add). A BPF program that takes events before netlink does not
// count as one.
//
// Threads: any.
#pragma once

#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

// The namespace lives as long as the socket. Needs CAP_SYS_ADMIN. Uses a thread, which has ended when this returns.
Result<NetlinkSocket> OpenIdleListener();

}  // namespace conntally
