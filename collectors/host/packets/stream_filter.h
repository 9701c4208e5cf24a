// The kernel's filter for what follows a connection's first packet, and for ICMP that says a packet was too long: of
// the addresses and the port that were asked about, and of nothing else. Pure.
//
// Sources: linux/filter.h; net/core/filter.c.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "collectors/host/packets/packet_watch.h"
#include "collectors/host/packets/stream_ledger.h"

namespace conntally {

// Whether so little is asked that all packets of it may be looked at.
bool IsNarrow(const WatchFilter& filter);
std::vector<sock_filter> StreamProgram(const WatchFilter& filter, std::uint32_t snap_bytes);

// Of a packet that begins at its IP header. nullopt: it is none.
std::optional<StreamLedger::Segment> ReadSegment(Bytes packet);
std::optional<TooLong> ReadTooLong(Bytes packet);

// Whether it is of the asked traffic, in either direction.
bool IsAskedFor(const WatchFilter& filter, const StreamEnds& ends);

}  // namespace conntally
