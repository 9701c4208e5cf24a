// The kernel's filter for packets after a connection's first one, and for ICMP messages that a packet was too long;
// only for the addresses and the port in question. Pure.
//
// Sources: linux/filter.h; net/core/filter.c.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "collectors/host/packets/packet_watch.h"
#include "collectors/host/packets/stream_ledger.h"

namespace conntally {

// Whether the question is narrow enough to look at all its packets.
bool IsNarrow(const WatchFilter& filter);
std::vector<sock_filter> StreamProgram(const WatchFilter& filter, std::uint32_t snap_bytes);

// For a packet that begins at its IP header. nullopt: it is not a TCP segment.
std::optional<StreamLedger::Segment> ReadSegment(Bytes packet);
std::optional<TooLong> ReadTooLong(Bytes packet);

// Whether it belongs to the traffic in question, in either direction.
bool IsAskedFor(const WatchFilter& filter, const StreamEnds& ends);

}  // namespace conntally
