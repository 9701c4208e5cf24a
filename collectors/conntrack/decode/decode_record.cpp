#include "collectors/conntrack/decode/decode_record.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace conntally {
namespace {

constexpr std::uint64_t kAnyStartNs = 1;  // 0 means unknown

bool ReadKind(unsigned kind, EventKind& read) {
  switch (kind) {
    case EVENT_NEW: read = EventKind::kNew; return true;
    case EVENT_UPDATE: read = EventKind::kUpdate; return true;
    case EVENT_DESTROY: read = EventKind::kDestroy; return true;
    default: return false;
  }
}

}  // namespace

DecodeOutcome DecodeFlow(const conntrack_event_record& record, FlowEvent& event) {
  const unsigned family = record.about >> EVENT_FAMILY_SHIFT & 3;
  const unsigned state = record.about >> EVENT_TCP_STATE_SHIFT & 15;
  if (family == EVENT_FAMILY_OTHER) return DecodeOutcome::kUnsupported;
  EventKind kind{};
  if (family > EVENT_FAMILY_IPV6 || state >= kTcpStates || !ReadKind(record.about >> EVENT_KIND_SHIFT & 3, kind)) {
    return DecodeOutcome::kMalformed;
  }

  FlowEvent decoded;
  decoded.key.family = family == EVENT_FAMILY_IPV4 ? Family::kIpv4 : Family::kIpv6;
  const std::size_t address_bytes = family == EVENT_FAMILY_IPV4 ? 4 : 16;
  std::memcpy(decoded.key.source.data(), record.source, address_bytes);
  std::memcpy(decoded.key.destination.data(), record.destination, address_bytes);
  decoded.key.source_port = ntohs(record.source_port);
  decoded.key.destination_port = ntohs(record.destination_port);
  decoded.key.zone = record.zone;
  decoded.key.protocol = record.protocol;
  decoded.kind = kind;
  decoded.has_status = true;
  decoded.status = record.status;
  if (record.protocol == IPPROTO_TCP) {
    decoded.has_tcp_state = true;
    decoded.tcp_state = static_cast<TcpState>(state);
  }
  if (record.lasted_known != 0 && kind == EventKind::kDestroy) {
    decoded.start_ns = kAnyStartNs;
    decoded.stop_ns = kAnyStartNs + std::min<std::uint64_t>(record.lasted_ns, UINT64_MAX - kAnyStartNs);
  }
  event = decoded;
  return DecodeOutcome::kFlow;
}

}  // namespace conntally
