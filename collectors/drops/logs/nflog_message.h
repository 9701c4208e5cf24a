// Decodes one packet of nfnetlink_log. Pure; any thread.
//
// Sources: linux/netfilter/nfnetlink_log.h; net/netfilter/nfnetlink_log.c (__build_packet_message).
#pragma once

#include <cstdint>
#include <optional>

#include "collectors/drops/drop_event.h"
#include "collectors/netlink/attributes.h"

namespace conntally {

struct NflogPacket {
  std::uint16_t group = 0;
  std::optional<std::uint32_t> sequence;  // in the group, from 0; a gap is a loss
  // Absent: not an IP packet (ARP), or too little of it was copied.
  std::optional<LoggedPacket> packet;
};

// `message` is a whole netlink message. nullopt: not a packet of nfnetlink_log, or malformed.
std::optional<NflogPacket> DecodeNflogMessage(Bytes message);

}  // namespace conntally
