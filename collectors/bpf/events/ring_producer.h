/* The producers' side of the ring (event_ring.h has the protocol): C, for the program in the kernel and, unchanged, for
 * the tests in which threads stand for its CPUs. */
#pragma once

#include "collectors/bpf/events/event_ring.h"

/* What is loaded is known before the slot is written: in the kernel by the full barrier of the add behind it, since BPF
 * has no loads with an order; here by acquire. Whoever adds has seen what all who added before it saw, so that also who
 * looked long ago writes only what was consumed. */
#ifdef __bpf__
#define RING_LOAD(field) (*(volatile __typeof__(field)*)&(field))
#else
#define RING_LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#endif

enum { RING_FULL = 0 };

/* The ticket + 1, or RING_FULL when the event was turned away. */
static inline __attribute__((always_inline)) unsigned long long ring_take(struct conntrack_event_counters* counters) {
  if (RING_LOAD(counters->handed_out) - RING_LOAD(counters->consumed) >= RING_LOAD(counters->room)) {
    __sync_fetch_and_add(&counters->turned_away, 1);
    return RING_FULL;
  }
  return __sync_fetch_and_add(&counters->handed_out, 1) + 1;
}

/* Once everything else of the record is written. */
static inline __attribute__((always_inline)) void ring_publish(struct conntrack_event_record* record,
                                                               unsigned long long ticket_and_1) {
#ifdef __bpf__
  __sync_lock_test_and_set(&record->sequence, ticket_and_1);
#else
  __atomic_exchange_n(&record->sequence, ticket_and_1, __ATOMIC_SEQ_CST);
#endif
}
