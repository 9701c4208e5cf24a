/* Counts the packets that netfilter drops in one network namespace, by source and destination; and packets that the
 * kernel dropped for some other reasons, by reason only.
 *
 * The source is that of the connection's original direction, if conntrack knows one: behind NAT, and for replies, the
 * packet's own addresses differ. Rules see the packet's own addresses, so these are kept too.
 *
 * One build serves all kernels from 5.17 on, where drop reasons begin (kernel_structs.h).
 *
 * Sources: include/trace/events/skb.h (kfree_skb), net/netfilter/core.c (nf_hook_slow), include/linux/skbuff.h,
 * include/net/dst.h, net/ipv4/ip_{input,forward,output}.c, include/net/netfilter/nf_conntrack.h,
 * include/uapi/linux/netfilter/nf_conntrack_common.h.
 */
#include <linux/bpf.h>
#include <linux/types.h>

/* After the headers whose types these need. */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "collectors/drops/ebpf/program/drop_record.h"
#include "collectors/drops/ebpf/program/kernel_structs.h"
#include "collectors/drops/ebpf/program/packet_read.h"

char LICENSE[] SEC("license") = "GPL"; /* required by bpf_probe_read_kernel */

const volatile struct drop_settings settings SEC(".rodata.settings") = {0};
volatile struct connection_layout layout SEC(".data.layout") = {0};

struct records {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, DROP_RECORDS_MAX);
  __type(key, struct drop_record_key);
  __type(value, __u64);
};
struct records records_a SEC(".maps");
struct records records_b SEC(".maps");

struct source_records {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, DROP_SOURCES_MAX);
  __type(key, struct drop_record_key);
  __type(value, __u64);
};
struct source_records sources_a SEC(".maps");
struct source_records sources_b SEC(".maps");

/* The map to write to. When this slot is replaced, the kernel waits until no program uses the old map any more
 * (maybe_wait_bpf_programs): then it can be read and emptied without losing an increment. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(values, struct records);
} current SEC(".maps") = {.values = {&records_a}};

/* The same for keys without a destination. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(values, struct source_records);
} current_sources SEC(".maps") = {.values = {&sources_a}};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct drop_sums);
} sums SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct drop_reasons);
} reasons SEC(".maps");

/* The verifier knows the type of the tracepoint's packet, so its fields are plain loads, which cannot fault; a call of
 * bpf_probe_read_kernel costs ten times as much. That is used only for pointers kept as numbers: route, connection,
 * packet data. */
static __always_inline struct dst_entry* routed(struct sk_buff* skb) {
  struct dst_entry* dst = (struct dst_entry*)(skb->_skb_refdst & ~(unsigned long)SKB_DST_NOREF);
  if (dst && (BPF_CORE_READ(dst, flags) & DST_METADATA)) return 0; /* tunnel metadata, not a route */
  return dst;
}

static __always_inline unsigned int namespace_of(struct sk_buff* skb, struct dst_entry* dst) {
  struct net_device* dev = skb->dev;
  if (dev) return dev->nd_net.net->ns.inum;
  if (dst) return BPF_CORE_READ(dst, dev, nd_net.net, ns.inum);
  struct sock* sk = skb->sk;
  return sk ? sk->__sk_common.skc_net.net->ns.inum : 0;
}

static __always_inline int is_local(struct dst_entry* dst, int family) {
  if (family == 4) return (BPF_CORE_READ((struct rtable*)dst, rt_flags) & RTCF_LOCAL) != 0;
  return (BPF_CORE_READ((struct rt6_info*)dst, rt6i_flags) & RTF_LOCAL) != 0;
}

/* The hooks that the packet's route and devices leave possible. A received packet has the index of its device; it has
 * no route before PREROUTING is passed (over loopback: the sender's); on the way out its device is the outgoing one. */
static __always_inline void place(struct drop_record_key* key, struct sk_buff* skb, struct dst_entry* dst) {
  struct net_device* dev = skb->dev;
  const unsigned int came_in = (unsigned int)skb->skb_iif;
  const unsigned int at = dev ? (unsigned int)dev->ifindex : 0;
  struct net_device* way_out = dst ? BPF_CORE_READ(dst, dev) : 0;
  const int ipv6_multicast = key->hooks != 0; /* noted by parse_ipv6 */
  key->in_interface = came_in;
  if (!came_in) {
    key->out_interface = way_out ? (unsigned int)BPF_CORE_READ(way_out, ifindex) : at;
    /* IPv6's own messages have a device before OUTPUT. */
    key->hooks = at ? HOOK_OUTPUT | HOOK_POSTROUTING | HOOK_DEVICE : HOOK_OUTPUT;
  } else if (!dst) {
    key->hooks = HOOK_PREROUTING | HOOK_DEVICE;
  } else if (is_local(dst, key->family)) {
    key->hooks = dev == way_out ? HOOK_PREROUTING | HOOK_INPUT | HOOK_DEVICE : HOOK_INPUT;
  } else if (ipv6_multicast && at == came_in) {
    key->hooks = HOOK_INPUT; /* its route is not local; if forwarded, its device is the outgoing one */
  } else {
    key->out_interface = (unsigned int)BPF_CORE_READ(way_out, ifindex);
    key->hooks = at == came_in && dev != way_out ? HOOK_FORWARD : HOOK_FORWARD | HOOK_POSTROUTING | HOOK_DEVICE;
  }
}

/* The state that nft_ct.c and xt_conntrack.c see for a packet without a connection. Before conntrack has seen it,
 * conntrack itself may have dropped it, not a rule about invalid packets: then the state is unknown. */
static __always_inline unsigned char state_without(const struct drop_record_key* key, unsigned int info) {
  if (info == IP_CT_UNTRACKED) return NF_CT_STATE_UNTRACKED;
  return key->hooks & (HOOK_PREROUTING | HOOK_OUTPUT) ? 0 : NF_CT_STATE_INVALID;
}

/* A packet in the original direction without NAT has the tuple's addresses already. An ICMP error belongs to the
 * connection that it is about, and may come from any host. */
static __always_inline void follow_connection(struct drop_record_key* key, struct sk_buff* skb) {
  if (!bpf_core_field_exists(skb->_nfct) || !layout.known) return;
  const unsigned long both = skb->_nfct;
  const unsigned int info = both & NFCT_INFOMASK;
  const char* connection = (const char*)(both & ~(unsigned long)NFCT_INFOMASK);
  unsigned long status = 0;
  if (!connection) {
    key->state = state_without(key, info);
    return;
  }
  if (bpf_probe_read_kernel(&status, sizeof status, connection + layout.status) != 0) return;
  if (status & IPS_TEMPLATE) return;
  key->state = (unsigned char)(1 << (info % IP_CT_IS_REPLY + 1)); /* NF_CT_STATE_BIT */
  const int is_error = (info == IP_CT_RELATED || info == IP_CT_RELATED_REPLY) && is_icmp(key->protocol);
  if (info < IP_CT_IS_REPLY && !(status & IPS_NAT_MASK) && !is_error) return;
  struct tuple original;
  if (bpf_probe_read_kernel(&original, sizeof original, connection + layout.original_tuple) != 0) return;
  if (original.l3num != (key->family == 4 ? 2 : 10)) return;
  __builtin_memcpy(key->original_source, original.source, 16);
  __builtin_memcpy(key->original_destination, original.destination, 16);
  if (has_ports(original.protocol) && original.protocol == key->protocol)
    key->original_port = bpf_ntohs(original.destination_port);
  key->flags |= DROP_HAS_ORIGINAL;
}

static __always_inline int add_to(void* slot, const struct drop_record_key* key) {
  const __u32 zero = 0;
  const __u64 one = 1;
  void* records = bpf_map_lookup_elem(slot, &zero);
  if (!records) return -1;
  __u64* packets = bpf_map_lookup_elem(records, key);
  if (!packets) {
    if (bpf_map_update_elem(records, key, &one, BPF_NOEXIST) == 0) return 0;
    packets = bpf_map_lookup_elem(records, key); /* another CPU was first, or no room */
    if (!packets) return -1;
  }
  __sync_fetch_and_add(packets, 1);
  return 0;
}

/* A source that sends to ever new ports and addresses must not prevent the counting of others. */
static __always_inline int count(struct drop_record_key* key) {
  if (add_to(&current, key) == 0) return 0;
  __builtin_memset(key->destination, 0, sizeof key->destination);
  __builtin_memset(key->original_destination, 0, sizeof key->original_destination);
  key->destination_port = key->original_port = 0;
  key->icmp_type = 0;
  key->flags = (key->flags & DROP_HAS_ORIGINAL) | DROP_WITHOUT_DESTINATION;
  return add_to(&current_sources, key);
}

static __always_inline void count_reason(unsigned int slot, struct sk_buff* skb) {
  if (namespace_of(skb, routed(skb)) != settings.namespace_inode) return;
  const __u32 zero = 0;
  struct drop_reasons* of_cpu = bpf_map_lookup_elem(&reasons, &zero);
  if (of_cpu) ++of_cpu->packets[(slot - 1) & (DROP_REASONS_MAX - 1)];
}

SEC("tp_btf/kfree_skb")
int on_kfree_skb(unsigned long long* arguments) {
  struct sk_buff* skb = (struct sk_buff*)arguments[0];
  const unsigned int reason = (unsigned int)arguments[2];
  if (reason != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NETFILTER_DROP)) {
    const unsigned int slot = reason < DROP_REASON_NUMBERS ? settings.reason_slots[reason] : 0;
    if (slot) count_reason(slot, skb);
    return 0;
  }
  struct dst_entry* dst = routed(skb);
  if (namespace_of(skb, dst) != settings.namespace_inode) return 0;
  const __u32 zero = 0;
  struct drop_sums* of_cpu = bpf_map_lookup_elem(&sums, &zero);
  if (!of_cpu) return 0;
  struct drop_record_key key = {};
  /* This program does not interrupt itself on a CPU: no atomics. */
  if (parse(&key, skb) != 0) {
    ++of_cpu->no_ip;
    return 0;
  }
  place(&key, skb, dst);
  follow_connection(&key, skb);
  if (count(&key) == 0) {
    ++of_cpu->counted;
  } else {
    ++of_cpu->overflow;
  }
  return 0;
}
