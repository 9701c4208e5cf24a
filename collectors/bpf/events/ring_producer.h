/* The producers' side of the ring (protocol: event_ring.h): C, for the BPF program and, unchanged, for tests in which
 * threads act as CPUs. */
#pragma once

#include "collectors/bpf/events/event_ring.h"

/* The load is ordered before the writes to the slot: in BPF, which has no ordered loads, by the full barrier of the add
 * that follows; here by acquire. A producer that adds has seen what all earlier adders saw, so even one that loaded
 * long ago writes only to consumed slots. */
#ifdef __bpf__
#define RING_LOAD(field) (*(volatile __typeof__(field)*)&(field))
#else
#define RING_LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#endif

enum { RING_FULL = 0 };

/* The ticket + 1, or RING_FULL if the event was turned away. */
static inline __attribute__((always_inline)) unsigned long long ring_take(struct conntrack_event_counters* counters) {
  if (RING_LOAD(counters->handed_out) - RING_LOAD(counters->consumed) >= RING_LOAD(counters->room)) {
    __sync_fetch_and_add(&counters->turned_away, 1);
    return RING_FULL;
  }
  return __sync_fetch_and_add(&counters->handed_out, 1) + 1;
}

/* Call it after all other fields of the record are written. */
static inline __attribute__((always_inline)) void ring_publish(struct conntrack_event_record* record,
                                                               unsigned long long ticket_and_1) {
#ifdef __bpf__
  __sync_lock_test_and_set(&record->sequence, ticket_and_1);
#else
  __atomic_exchange_n(&record->sequence, ticket_and_1, __ATOMIC_SEQ_CST);
#endif
}
