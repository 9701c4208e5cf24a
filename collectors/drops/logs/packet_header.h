// Reads the fields of a drop's key from the start of an IP packet. Pure; any thread.
//
// Sources: RFC 791, RFC 8200. The eBPF program reads a packet in the same way.
#pragma once

#include <optional>

#include "collectors/drops/drop_event.h"
#include "collectors/netlink/attributes.h"

namespace conntally {

// Addresses, protocol, and destination port or ICMP type of a packet that begins with its IPv4 or IPv6 header and may
// be truncated; the rest of the key has its defaults. nullopt: no complete IP header.
std::optional<DropKey> ReadPacketHeader(Bytes packet);

}  // namespace conntally
