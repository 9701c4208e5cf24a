// Decodes the records in which the program in the kernel tells of conntrack events: to the same FlowEvent as
// netlink's message of the event would give, but for these:
//
//  - `id` is 0: CTA_ID is made of a secret of the kernel's. What it would tell apart, a tuple's former life from the
//    next, the order of events tells as well; so only after a loss a connection that ended and one that began count as
//    one.
//  - The TCP state is in every record of a TCP connection, also where netlink's message tells of a changed mark only.
//  - Of the timestamps only how long the connection lasted is told: `stop_ns - start_ns`.
//
// Pure: any bytes are taken. Any thread.
#pragma once

#include "collectors/bpf/events/event_ring.h"
#include "collectors/conntrack/decode/decode.h"

namespace conntally {

// As DecodeFlow of a message: `event` is written only when kFlow is returned.
[[nodiscard]] DecodeOutcome DecodeFlow(const conntrack_event_record& record, FlowEvent& event);

}  // namespace conntally
