/* The ring by which the BPF program delivers conntrack events to the daemon: C, for both compilers. The program's side
 * is ring_producer.h, the daemon's collectors/bpf/ring_consumer.h.
 *
 * One array of records, of a power of two, and one page of counters, both mapped by the daemon. Many producers, at most
 * one per CPU at a time; one consumer. No side waits for the other, and no producer wakes the consumer.
 *
 *   producer: 1. if `handed_out - consumed` >= `room`, counts the event in `turned_away`, and stops.
 *             2. ticket = one atomic add to `handed_out`. The slot is records[ticket & mask].
 *             3. fills the slot, and last stores `sequence` = ticket + 1 by an atomic exchange.
 *   consumer: takes the record of ticket `next` once its `sequence` is next + 1, in order; after reading some records
 *             it stores `consumed` = next.
 *
 * No producer overwrites an unread slot, although 1 and 2 are separate steps: a producer that passed 1 without seeing
 * other producers' tickets is between 1 and 2, at most one per CPU, since the kernel runs the program only once at a
 * time on a CPU (it counts the runs that it skips; see AttachedEvents::ReadMissed). `room` is the array's length minus
 * the number of CPUs, so `handed_out - consumed` never exceeds the length. So no lost event gets a ticket, every
 * ticket's record comes, and the losses are exactly `turned_away` plus the skipped runs.
 *
 * Memory order: the exchange of 3 orders the record's bytes before its `sequence` (the kernel's atomics with a result
 * are fully ordered), which the consumer loads with acquire. The consumer stores `consumed` with release after reading;
 * a producer that sees it writes only after the branch of 1 and the full barrier of 2, so it does not overwrite records
 * being read. A late view of `handed_out` is allowed for by `room`; a late view of `consumed` only turns events away
 * sooner.
 *
 * A record that stays unfinished (a hypervisor has paused its CPU) makes the consumer wait: order is kept, and the ring
 * fills up after it.
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
  EVENT_TCP_STATE_SHIFT = 4, /* 4 bits; 0 unless TCP */
};

/* One cache line. Addresses and ports as in the kernel's original tuple: in network order, IPv4 in the first 4 bytes
 * and the rest 0; for ICMP the id, then type and code.
 *
 * There is no CTA_ID: the kernel computes it with its own secret. */
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
  unsigned int lasted_known; /* whether lasted_ns is; for DESTROY, with nf_conntrack_timestamp */
  unsigned long long lasted_ns;
};

/* Each line has one kind of writer. */
struct conntrack_event_counters {
  /* By producers. */
  unsigned long long handed_out __attribute__((aligned(64)));
  /* By the consumer, once per batch and at its start. */
  unsigned long long consumed __attribute__((aligned(64)));
  unsigned long long room;
  unsigned int mask;            /* the array's length - 1 */
  unsigned int namespace_inode; /* whose events are wanted; 0: none, nobody reads */
  /* By producers without room. */
  unsigned long long turned_away __attribute__((aligned(64)));
};
