// The start of an IP packet, as far as a drop's key asks for it. Pure; any thread.
//
// Sources: RFC 791, RFC 8200. What the eBPF program reads of a packet in the kernel is read alike here.
#pragma once

#include <optional>

#include "collectors/drops/drop_event.h"
#include "collectors/netlink/attributes.h"

namespace conntally {

// Addresses, protocol, and destination port or ICMP type of a packet that begins with its IPv4 or IPv6 header and may
// be cut short anywhere; the rest of the key is as it is by default. nullopt: no whole IP header.
std::optional<DropKey> ReadPacketHeader(Bytes packet);

}  // namespace conntally
