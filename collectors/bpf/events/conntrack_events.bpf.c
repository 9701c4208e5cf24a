/* Delivers each conntrack event of one network namespace to the daemon, at the point where the kernel would build
 * netlink's message: the same events, without the message, the copy and the queue.
 *
 * Declares the kernel's structures only as far as they are read; libbpf relocates the fields by the running kernel's
 * BTF when it loads the program (CO-RE). There are two entry points, of which one is loaded: fentry, where the verifier
 * knows the argument's type, so fields are plain loads; and kprobe.multi, for a loader that may not look up modules'
 * types, where every field is copied.
 *
 * Sources: net/netfilter/nf_conntrack_netlink.c (ctnetlink_conntrack_event), nf_conntrack_ecache.c,
 * include/net/netfilter/nf_conntrack{,_tuple,_extend,_ecache,_timestamp,_zones}.h.
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <linux/types.h>

/* After the headers whose types these need. */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "collectors/bpf/events/kernel_namespace.h"
#include "collectors/bpf/events/ring_producer.h"

char LICENSE[] SEC("license") = "GPL"; /* required by bpf_probe_read_kernel */

union nf_inet_addr {
  __u32 all[4];
} KERNEL_TYPE;
union nf_conntrack_man_proto {
  __be16 all;
} KERNEL_TYPE;
struct nf_conntrack_man {
  union nf_inet_addr u3;
  union nf_conntrack_man_proto u;
  __u16 l3num;
} KERNEL_TYPE;
struct nf_conntrack_tuple {
  struct nf_conntrack_man src;
  struct {
    union nf_inet_addr u3;
    union {
      __be16 all;
    } u;
    __u8 protonum;
  } dst;
} KERNEL_TYPE;
struct hlist_nulls_node {
  struct hlist_nulls_node** pprev;
} KERNEL_TYPE;
struct nf_conntrack_tuple_hash {
  struct hlist_nulls_node hnnode; /* in the table of tuples */
  struct nf_conntrack_tuple tuple;
} KERNEL_TYPE;
struct nf_conntrack_zone {
  __u16 id;
  __u8 dir;
} KERNEL_TYPE;
struct nf_ct_ext {
  __u8 offset[16];
} KERNEL_TYPE;
struct ip_ct_tcp {
  __u8 state;
} KERNEL_TYPE;
union nf_conntrack_proto {
  struct ip_ct_tcp tcp;
} KERNEL_TYPE;
struct nf_conn {
  struct nf_conntrack_zone zone; /* with CONFIG_NF_CONNTRACK_ZONES */
  struct nf_conntrack_tuple_hash tuplehash[2];
  unsigned long status;
  possible_net_t ct_net;
  struct nf_ct_ext* ext;
  union nf_conntrack_proto proto;
} KERNEL_TYPE;
/* Only modules describe these two, so only the program whose loader may look there reads them. */
enum nf_ct_ext_id { NF_CT_EXT_TSTAMP = 1 /* any; replaced at load */ };
struct nf_conn_tstamp {
  __u64 start;
  __u64 stop;
} KERNEL_TYPE;
/* Not relocated: only nf_conntrack's own BTF, often a module's, describes it. */
struct nf_ct_event {
  struct nf_conn* ct; /* its first member in every kernel */
};

enum {
  IPCT_NEW = 0,
  IPCT_RELATED = 1,
  IPCT_DESTROY = 2,
  IP_PROTOCOL_TCP = 6,
  FAMILY_INET = 2,
  FAMILY_INET6 = 10,
  ZONE_OF_ORIGINAL_DIRECTION = 1 << 0,
};

struct conntrack_event_counters counters SEC(".data.counters") = {};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1); /* set before it is loaded */
  __type(key, __u32);
  __type(value, struct conntrack_event_record);
} records SEC(".maps");

/* `typed` is a compile-time constant, so only one branch stays. */
#define READ(typed, pointer, ...)                                     \
  ({                                                                  \
    __typeof__((pointer)->__VA_ARGS__) _value;                        \
    if (typed)                                                        \
      _value = (pointer)->__VA_ARGS__;                                \
    else                                                              \
      bpf_core_read(&_value, sizeof _value, &(pointer)->__VA_ARGS__); \
    _value;                                                           \
  })

static __always_inline int wanted(struct nf_conn* ct, const int typed) {
  struct net* net = READ(typed, ct, ct_net.net);
  const __u32 inode = READ(typed, net, ns.inum);
  return inode == RING_LOAD(counters.namespace_inode);
}

/* A listener with NETLINK_BROADCAST_SEND_ERROR gets a DESTROY again that it could not take. By then another connection
 * may have the tuple. The first time, the connection is still in the table; a removed one has LIST_POISON2 there, which
 * is not a pointer: pointers end in three zero bits. (The original direction's node is used for the list of events to
 * be sent again.) */
static __always_inline int told_before(struct nf_conn* ct, const int typed) {
  return ((unsigned long)READ(typed, ct, tuplehash[1].hnnode.pprev) & 7) != 0;
}

/* The connection's duration, with nf_conntrack_timestamp. An extension's offset is variable, so it is copied. */
static __always_inline void note_duration(struct conntrack_event_record* record, struct nf_conn* ct) {
  if (!bpf_core_enum_value_exists(enum nf_ct_ext_id, NF_CT_EXT_TSTAMP)) return;
  struct nf_ct_ext* ext = ct->ext;
  if (!ext) return;
  __u8 offset = 0;
  const int number = bpf_core_enum_value(enum nf_ct_ext_id, NF_CT_EXT_TSTAMP);
  bpf_probe_read_kernel(&offset, 1, (const char*)ext + bpf_core_field_offset(ext->offset) + number);
  if (!offset) return;
  struct nf_conn_tstamp* at = (struct nf_conn_tstamp*)((const char*)ext + offset);
  __u64 start = 0;
  __u64 stop = 0;
  bpf_core_read(&start, sizeof start, &at->start);
  bpf_core_read(&stop, sizeof stop, &at->stop);
  if (start == 0 || stop < start) return;
  record->lasted_known = 1;
  record->lasted_ns = stop - start;
}

static __always_inline void fill(struct conntrack_event_record* record, struct nf_conn* ct, __u32 kind,
                                 const int typed) {
  /* The kernel zeroes a tuple before it fills it, so the unused bytes of an IPv4 address are 0. */
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    record->source[i] = READ(typed, ct, tuplehash[0].tuple.src.u3.all[i]);
    record->destination[i] = READ(typed, ct, tuplehash[0].tuple.dst.u3.all[i]);
  }
  record->source_port = READ(typed, ct, tuplehash[0].tuple.src.u.all);
  record->destination_port = READ(typed, ct, tuplehash[0].tuple.dst.u.all);
  const __u8 protocol = READ(typed, ct, tuplehash[0].tuple.dst.protonum);
  record->protocol = protocol;
  record->zone = 0;
  if (bpf_core_field_exists(ct->zone)) {
    if (READ(typed, ct, zone.dir) & ZONE_OF_ORIGINAL_DIRECTION) record->zone = READ(typed, ct, zone.id);
  }
  const __u16 l3num = READ(typed, ct, tuplehash[0].tuple.src.l3num);
  const __u32 family = l3num == FAMILY_INET    ? EVENT_FAMILY_IPV4
                       : l3num == FAMILY_INET6 ? EVENT_FAMILY_IPV6
                                               : EVENT_FAMILY_OTHER;
  __u32 state = 0;
  if (protocol == IP_PROTOCOL_TCP) state = READ(typed, ct, proto.tcp.state);
  record->about = family << EVENT_FAMILY_SHIFT | kind << EVENT_KIND_SHIFT | (state & 15) << EVENT_TCP_STATE_SHIFT;
  record->status = READ(typed, ct, status);
}

static __always_inline int hand_over(struct nf_conn* ct, unsigned int events, const int typed) {
  if (!events || !wanted(ct, typed)) return 0;
  const int ends = (events & (1U << IPCT_DESTROY)) != 0;
  const __u32 kind = ends                                                        ? EVENT_DESTROY
                     : (events & ((1U << IPCT_NEW) | (1U << IPCT_RELATED))) != 0 ? EVENT_NEW
                                                                                 : EVENT_UPDATE;
  if (ends && told_before(ct, typed)) return 0;
  const unsigned long long ticket_and_1 = ring_take(&counters);
  if (ticket_and_1 == RING_FULL) return 0;
  const __u32 at = (__u32)(ticket_and_1 - 1) & RING_LOAD(counters.mask);
  struct conntrack_event_record* record = bpf_map_lookup_elem(&records, &at);
  if (!record) return 0; /* never: the mask keeps the index within the array */
  fill(record, ct, kind, typed);
  record->lasted_known = 0;
  if (ends && typed) note_duration(record, ct);
  ring_publish(record, ticket_and_1);
  return 0;
}

SEC("?fentry/ctnetlink_conntrack_event")
int BPF_PROG(on_event_typed, unsigned int events, const struct nf_ct_event* item) {
  return hand_over(item->ct, events, 1);
}

SEC("?kprobe.multi/ctnetlink_conntrack_event")
int BPF_KPROBE(on_event, unsigned int events, const struct nf_ct_event* item) {
  struct nf_conn* ct = 0;
  if (bpf_probe_read_kernel(&ct, sizeof ct, &item->ct) != 0) return 0;
  return hand_over(ct, events, 0);
}
