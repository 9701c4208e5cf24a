/* The kernel's structures as far as the eBPF program reads them; libbpf relocates the fields by the running kernel's
 * BTF when it loads the program (CO-RE). Only for the BPF compiler.
 *
 * Sources: include/linux/skbuff.h, include/net/{dst,route,ip6_fib,sock}.h, include/linux/netdevice.h,
 * include/net/netfilter/nf_conntrack_tuple.h, include/uapi/linux/netfilter/nf_conntrack_common.h.
 */
#pragma once

#include "collectors/bpf/events/kernel_namespace.h"

struct net_device {
  int ifindex;
  possible_net_t nd_net;
} KERNEL_TYPE;
struct dst_entry {
  struct net_device* dev;
  unsigned short flags;
} KERNEL_TYPE;
struct rtable {
  struct dst_entry dst;
  unsigned int rt_flags;
} KERNEL_TYPE;
struct rt6_info {
  struct dst_entry dst;
  __u32 rt6i_flags;
} KERNEL_TYPE;
struct sock_common {
  possible_net_t skc_net;
} KERNEL_TYPE;
struct sock {
  struct sock_common __sk_common;
} KERNEL_TYPE;
struct sk_buff {
  struct net_device* dev;
  struct sock* sk;
  unsigned long _skb_refdst;
  int skb_iif;
  __be16 protocol;
  __u16 network_header;
  unsigned int tail; /* an offset, as on every 64-bit kernel */
  unsigned char* head;
  unsigned long _nfct; /* a connection and, in its low bits, enum ip_conntrack_info; not in every kernel */
} KERNEL_TYPE;
enum skb_drop_reason { SKB_DROP_REASON_NETFILTER_DROP = 1 /* any; replaced at load */ };

enum {
  ETHERTYPE_IPV4 = 0x0800,
  ETHERTYPE_IPV6 = 0x86dd,
  SKB_DST_NOREF = 1,
  DST_METADATA = 0x0080,
  RTCF_LOCAL = 0x80000000U,
  RTF_LOCAL = 0x80000000U,
  IPV6_HEADERS_MAX = 6, /* extension headers to skip at most */
  HOOK_PREROUTING = 1 << 0,
  HOOK_INPUT = 1 << 1,
  HOOK_FORWARD = 1 << 2,
  HOOK_OUTPUT = 1 << 3,
  HOOK_POSTROUTING = 1 << 4,
  HOOK_DEVICE = 1 << 5,
  NFCT_INFOMASK = 7,
  IP_CT_RELATED = 1,
  IP_CT_IS_REPLY = 3,
  IP_CT_RELATED_REPLY = 4,
  IP_CT_UNTRACKED = 7,
  NF_CT_STATE_INVALID = 1,
  NF_CT_STATE_UNTRACKED = 1 << 6,
  IPS_NAT_MASK = 1 << 4 | 1 << 5,
  IPS_TEMPLATE = 1 << 11,
  PROTOCOL_ICMP = 1,
  PROTOCOL_ICMPV6 = 58,
};

/* struct nf_conntrack_tuple; the daemon has checked that it has this size. */
struct tuple {
  unsigned char source[16];
  __be16 source_port;
  __u16 l3num;
  unsigned char destination[16];
  __be16 destination_port;
  __u8 protocol;
  __u8 direction;
};
