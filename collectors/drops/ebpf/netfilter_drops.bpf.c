/* Counts the packets that netfilter drops, by who sent them, in one network namespace.
 *
 * The kernel's structures are declared here as far as they are read; libbpf finds the fields' true places in the
 * running kernel's BTF when it loads the program (CO-RE), so one build serves all kernels from 5.17 on, where drop
 * reasons begin.
 *
 * Sources: include/trace/events/skb.h (kfree_skb), net/netfilter/core.c (nf_hook_slow), include/linux/skbuff.h,
 * include/net/dst.h, net/ipv4/ip_{input,forward,output}.c.
 */
#include <linux/bpf.h>
#include <linux/types.h>

/* After them: these want their types. */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "collectors/drops/ebpf/drop_record.h"

char LICENSE[] SEC("license") = "GPL"; /* which bpf_probe_read_kernel asks for */

#define KERNEL_TYPE __attribute__((preserve_access_index))

struct ns_common {
  unsigned int inum;
} KERNEL_TYPE;
struct net {
  struct ns_common ns;
} KERNEL_TYPE;
typedef struct {
  struct net* net;
} possible_net_t;
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
} KERNEL_TYPE;
enum skb_drop_reason { SKB_DROP_REASON_NETFILTER_DROP = 1 /* any; replaced at load */ };

enum {
  ETHERTYPE_IPV4 = 0x0800,
  ETHERTYPE_IPV6 = 0x86dd,
  SKB_DST_NOREF = 1,
  DST_METADATA = 0x0080,
  RTCF_LOCAL = 0x80000000U,
  RTF_LOCAL = 0x80000000U,
  IPV6_HEADERS_MAX = 6, /* extension headers that are looked behind */
  HOOK_PREROUTING = 1 << 0,
  HOOK_INPUT = 1 << 1,
  HOOK_FORWARD = 1 << 2,
  HOOK_OUTPUT = 1 << 3,
  HOOK_POSTROUTING = 1 << 4,
  HOOK_DEVICE = 1 << 5,
};

/* Set before the program is loaded. */
const volatile struct drop_settings settings SEC(".rodata.settings") = {0};

struct records {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, DROP_RECORDS_MAX);
  __type(key, struct drop_record_key);
  __type(value, __u64);
};
struct records records_a SEC(".maps");
struct records records_b SEC(".maps");

/* The map that is written now. The kernel, when this slot is replaced, waits until no program uses the old map any more
 * (maybe_wait_bpf_programs): then it can be read and emptied, and not one increment is lost. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(values, struct records);
} current SEC(".maps") = {.values = {&records_a}};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct drop_losses);
} losses SEC(".maps");

static __always_inline struct dst_entry* routed(struct sk_buff* skb) {
  struct dst_entry* dst = (struct dst_entry*)(BPF_CORE_READ(skb, _skb_refdst) & ~(unsigned long)SKB_DST_NOREF);
  if (dst && (BPF_CORE_READ(dst, flags) & DST_METADATA)) return 0; /* a tunnel's note, not a route */
  return dst;
}

static __always_inline unsigned int namespace_of(struct sk_buff* skb, struct net_device* dev, struct dst_entry* dst) {
  if (dev) return BPF_CORE_READ(dev, nd_net.net, ns.inum);
  if (dst) return BPF_CORE_READ(dst, dev, nd_net.net, ns.inum);
  struct sock* sk = BPF_CORE_READ(skb, sk);
  return sk ? BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) : 0;
}

static __always_inline int is_local(struct dst_entry* dst, int family) {
  if (family == 4) return (BPF_CORE_READ((struct rtable*)dst, rt_flags) & RTCF_LOCAL) != 0;
  return (BPF_CORE_READ((struct rt6_info*)dst, rt6i_flags) & RTF_LOCAL) != 0;
}

/* What the packet's route and devices leave possible. A packet that came in has the index of its device; it has no
 * route before PREROUTING is passed (over loopback: the sender's); on its way out its device is the one it leaves by.
 */
static __always_inline void place(struct drop_record_key* key, struct sk_buff* skb, struct net_device* dev,
                                  struct dst_entry* dst) {
  const unsigned int came_in = (unsigned int)BPF_CORE_READ(skb, skb_iif);
  const unsigned int at = dev ? (unsigned int)BPF_CORE_READ(dev, ifindex) : 0;
  const unsigned int leaves = dst ? (unsigned int)BPF_CORE_READ(dst, dev, ifindex) : 0;
  const int ipv6_multicast = key->hooks != 0; /* noted by parse_ipv6 */
  key->in_interface = came_in;
  if (!came_in) {
    key->out_interface = leaves ? leaves : at;
    /* IPv6's own messages have a device before OUTPUT. */
    key->hooks = at ? HOOK_OUTPUT | HOOK_POSTROUTING | HOOK_DEVICE : HOOK_OUTPUT;
  } else if (!dst) {
    key->hooks = HOOK_PREROUTING | HOOK_DEVICE;
  } else if (is_local(dst, key->family)) {
    key->hooks = at == leaves ? HOOK_PREROUTING | HOOK_INPUT | HOOK_DEVICE : HOOK_INPUT;
  } else if (ipv6_multicast && at == came_in) {
    key->hooks = HOOK_INPUT; /* its route is not marked local; when forwarded it is with the device that it leaves by */
  } else {
    key->out_interface = leaves;
    key->hooks = at == came_in && at != leaves ? HOOK_FORWARD : HOOK_FORWARD | HOOK_POSTROUTING | HOOK_DEVICE;
  }
}

static __always_inline int has_ports(__u8 protocol) {
  return protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33 || protocol == 136;
}

/* The header must lie within what is linear of the packet, which netfilter's own callers make sure of. */
static __always_inline int read_at(void* to, unsigned int bytes, const unsigned char* head, unsigned int offset,
                                   unsigned int tail) {
  if (offset + bytes > tail) return -1;
  return (int)bpf_probe_read_kernel(to, bytes, head + offset);
}

static __always_inline void read_port(struct drop_record_key* key, const unsigned char* head, unsigned int offset,
                                      unsigned int tail) {
  __be16 ports[2];
  if (has_ports(key->protocol) && read_at(ports, sizeof ports, head, offset, tail) == 0) {
    key->destination_port = bpf_ntohs(ports[1]);
  }
}

static __always_inline int parse_ipv4(struct drop_record_key* key, const unsigned char* head, unsigned int offset,
                                      unsigned int tail) {
  unsigned char ip[20];
  if (read_at(ip, sizeof ip, head, offset, tail) != 0 || ip[0] >> 4 != 4) return -1;
  key->family = 4;
  key->protocol = ip[9];
  __builtin_memcpy(key->source, ip + 12, 4);
  const int later_fragment = (ip[6] & 0x1f) != 0 || ip[7] != 0;
  if (!later_fragment) read_port(key, head, offset + (ip[0] & 15U) * 4, tail);
  return 0;
}

static __always_inline int parse_ipv6(struct drop_record_key* key, const unsigned char* head, unsigned int offset,
                                      unsigned int tail) {
  unsigned char ip[40];
  if (read_at(ip, sizeof ip, head, offset, tail) != 0 || ip[0] >> 4 != 6) return -1;
  key->family = 6;
  __builtin_memcpy(key->source, ip + 8, 16);
  if (ip[24] == 0xff) key->hooks = HOOK_INPUT; /* to multicast: a note for place(), which sets them */
  __u8 next = ip[6];
  offset += sizeof ip;
#pragma unroll
  for (int i = 0; i < IPV6_HEADERS_MAX; ++i) {
    unsigned char extension[4];
    if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60) break;
    if (read_at(extension, sizeof extension, head, offset, tail) != 0) break;
    key->protocol = extension[0];
    if (next == 44) {
      const int later_fragment = extension[2] != 0 || (extension[3] & 0xf8) != 0;
      if (later_fragment) return 0;
      offset += 8;
    } else {
      offset += next == 51 ? (extension[1] + 2U) * 4 : (extension[1] + 1U) * 8;
    }
    next = extension[0];
  }
  key->protocol = next;
  read_port(key, head, offset, tail);
  return 0;
}

static __always_inline int parse(struct drop_record_key* key, struct sk_buff* skb) {
  const unsigned char* head = BPF_CORE_READ(skb, head);
  const unsigned int offset = BPF_CORE_READ(skb, network_header);
  const unsigned int tail = BPF_CORE_READ(skb, tail);
  switch (bpf_ntohs(BPF_CORE_READ(skb, protocol))) {
    case ETHERTYPE_IPV4: return parse_ipv4(key, head, offset, tail);
    case ETHERTYPE_IPV6: return parse_ipv6(key, head, offset, tail);
    default: return -1;
  }
}

static __always_inline struct drop_losses* lost(void) {
  const __u32 zero = 0;
  return bpf_map_lookup_elem(&losses, &zero);
}

static __always_inline int count(const struct drop_record_key* key) {
  const __u32 zero = 0;
  const __u64 one = 1;
  void* records = bpf_map_lookup_elem(&current, &zero);
  if (!records) return -1;
  __u64* packets = bpf_map_lookup_elem(records, key);
  if (!packets) {
    if (bpf_map_update_elem(records, key, &one, BPF_NOEXIST) == 0) return 0;
    packets = bpf_map_lookup_elem(records, key); /* another CPU was first, or there is no room */
    if (!packets) return -1;
  }
  __sync_fetch_and_add(packets, 1);
  return 0;
}

SEC("raw_tp/kfree_skb")
int on_kfree_skb(struct bpf_raw_tracepoint_args* context) {
  if ((unsigned int)context->args[2] != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NETFILTER_DROP))
    return 0;
  struct sk_buff* skb = (struct sk_buff*)context->args[0];
  struct net_device* dev = BPF_CORE_READ(skb, dev);
  struct dst_entry* dst = routed(skb);
  if (namespace_of(skb, dev, dst) != settings.namespace_inode) return 0;
  struct drop_record_key key = {};
  const int parsed = parse(&key, skb) == 0;
  if (parsed) place(&key, skb, dev, dst);
  if (parsed && count(&key) == 0) return 0;
  struct drop_losses* losses_here = lost();
  if (!losses_here) return 0;
  /* This program does not interrupt itself on a CPU: no atomics. */
  if (parsed) {
    ++losses_here->overflow;
  } else {
    ++losses_here->no_ip;
  }
  return 0;
}
