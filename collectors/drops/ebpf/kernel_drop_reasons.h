// The reasons for which the kernel drops packets outside netfilter, and which look like a firewall from outside: by the
// kernel's own names (include/net/dropreason-core.h), without SKB_DROP_REASON_. Kernels differ in which they have. Not
// listed: TCP's ordinary drops, and drops that are not a fault, such as OTHERHOST.
#pragma once

#include <array>
#include <string_view>

#include "collectors/drops/ebpf/program/drop_record.h"

namespace conntally {

inline constexpr std::array<std::string_view, 32> kKernelDropReasons = {
    "NO_SOCKET",       // nobody listens there
    "SOCKET_FILTER",   // a filter of the socket's own
    "SOCKET_RCVBUFF",  // its receive buffer is full
    "SOCKET_BACKLOG",
    "PROTO_MEM",            // all sockets together have what udp_mem or tcp_mem grants
    "TCP_LISTEN_OVERFLOW",  // the queue of new connections is full
    "TCP_MD5NOTFOUND",
    "TCP_MD5FAILURE",
    "TCP_CSUM",
    "UDP_CSUM",
    "IP_CSUM",
    "ICMP_CSUM",
    "SKB_CSUM",
    "IP_INHDR",
    "IP_RPFILTER",  // net.ipv4.conf.*.rp_filter
    "IP_INNOROUTES",
    "IP_OUTNOROUTES",
    "IP_INADDRERRORS",
    "IP_INVALID_SOURCE",
    "IP_LOCAL_SOURCE",  // from outside, with an address of ours
    "IP_LOCALNET",      // 127.0.0.0/8 by a link
    "IP_NOPROTO",
    "IPV6DISABLED",
    "PKT_TOO_BIG",
    "XFRM_POLICY",   // IPsec asks for what the packet is not
    "NEIGH_FAILED",  // no answer to ARP or neighbour solicitations
    "NEIGH_QUEUEFULL",
    "QDISC_DROP",
    "CPU_BACKLOG",
    "XDP",
    "TC_INGRESS",
    "TC_EGRESS",
};
static_assert(kKernelDropReasons.size() <= DROP_REASONS_MAX);

}  // namespace conntally
