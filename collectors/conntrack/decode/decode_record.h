// Decodes the BPF program's records of conntrack events. The FlowEvent is the same as from netlink's message of the
// event, except:
//
//  - `id` is 0: the kernel computes CTA_ID with its own secret. Two successive connections of one tuple are told apart
//    by the order of events instead, so only after a loss they may count as one.
//  - Every record of a TCP connection has the TCP state, also where netlink's message only has a changed mark.
//  - Of the timestamps, only the difference `stop_ns - start_ns` is valid.
//
// Pure: accepts any bytes. Any thread.
#pragma once

#include "collectors/bpf/events/event_ring.h"
#include "collectors/conntrack/decode/decode.h"

namespace conntally {

// Like DecodeFlow of a message: `event` is written only if kFlow is returned.
[[nodiscard]] DecodeOutcome DecodeFlow(const conntrack_event_record& record, FlowEvent& event);

}  // namespace conntally
