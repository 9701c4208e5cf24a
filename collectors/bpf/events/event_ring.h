/* The ring through which the program in the kernel hands conntrack events to the daemon: C, for both compilers. The
 * program's side is ring_producer.h, the daemon's collectors/bpf/ring_consumer.h.
 *
 * One array of records, of a power of two, and one page of counters, both mapped by the daemon. Many producers, one on
 * each CPU at a time; one consumer; nobody waits for anybody, and no producer wakes the consumer.
 *
 *   producer: 1. with `handed_out - consumed` at `room` or above the event is counted in `turned_away`, and that is
 * all.
 *             2. ticket = one atomic add to `handed_out`. The slot is records[ticket & mask].
 *             3. fills the slot, and last stores `sequence` = ticket + 1 by an atomic exchange.
 *   consumer: takes the record of ticket `next` once its `sequence` is next + 1, in order; after reading some it stores
 *             `consumed` = next.
 *
 * Why no slot is written that is still to be read, although 1 and 2 are two steps: whoever passed 1 before it saw
 * others' tickets is between 1 and 2, at most once on each CPU, since the kernel runs a program only once at a time on
 * a CPU (what it turns away for that, it counts; see conntrack_events.h). `room` is the array's length less one for
 * each CPU, so that `handed_out - consumed` never exceeds the length. Hence no ticket is given for an event that is
 * lost, each ticket's record comes, and losses are exactly `turned_away` and what the kernel did not run.
 *
 * Memory order: the exchange of 3 orders the record's bytes before its `sequence` (the kernel's atomics with a result
 * are fully ordered), which the consumer loads with acquire. The consumer stores `consumed` with release once it has
 * read; a producer that sees it writes only after the branch of 1 and the full barrier of 2, so what was being read is
 * not overwritten. `handed_out` may be seen late, which 1 allows for; so may `consumed`, which only turns away sooner.
 *
 * A record that stays unfinished (its CPU sleeps in a hypervisor) makes the consumer wait: order is kept, and the ring
 * fills behind it.
 */
#pragma once

enum {
  EVENT_RING_LINE_BYTES = 64,

  EVENT_FAMILY_OTHER = 0,
  EVENT_FAMILY_IPV4 = 1,
  EVENT_FAMILY_IPV6 = 2,

  EVENT_NEW = 0,
  EVENT_UPDATE = 1,
  EVENT_DESTROY = 2,

  /* Of `about`. */
  EVENT_FAMILY_SHIFT = 0,    /* 2 bits */
  EVENT_KIND_SHIFT = 2,      /* 2 bits */
  EVENT_TCP_STATE_SHIFT = 4, /* 4 bits; 0 but for TCP */
};

/* One cache line. Addresses and ports as they stand in the kernel's original tuple: in network order, IPv4 in the first
 * 4 bytes and the rest 0; of ICMP the id, then type and code.
 *
 * CTA_ID is not here: the kernel makes it from a secret of its own. */
struct conntrack_event_record {
  unsigned long long sequence; /* the ticket + 1 once the record is complete */
  unsigned int source[4];
  unsigned int destination[4];
  unsigned short source_port;
  unsigned short destination_port;
  unsigned short zone; /* of the original direction; host order */
  unsigned char protocol;
  unsigned char about;
  unsigned int status;       /* IPS_* */
  unsigned int lasted_known; /* whether the next is; of DESTROY, where nf_conntrack_timestamp is on */
  unsigned long long lasted_ns;
};

/* Each line has one kind of writer. */
struct conntrack_event_counters {
  /* By producers. */
  unsigned long long handed_out __attribute__((aligned(64)));
  /* By the consumer, once a batch and at its start. */
  unsigned long long consumed __attribute__((aligned(64)));
  unsigned long long room;
  unsigned int mask;            /* the array's length - 1 */
  unsigned int namespace_inode; /* whose events are wanted; 0: nobody's, since nobody reads */
  /* By producers that find no room. */
  unsigned long long turned_away __attribute__((aligned(64)));
};
