// What a message, or a stored connection, means for the tallies. Pure; any thread.
#pragma once

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>

#include "collectors/conntrack/decode/flow_event.h"
#include "collectors/conntrack/flows/flow_table.h"
#include "collectors/tally/protocol_names.h"

namespace conntally {

inline bool IsReplied(const FlowEvent& event) { return event.has_status && (event.status & IPS_SEEN_REPLY) != 0; }

// What a connection proves about its source. Conntrack marks a TCP connection as ASSURED when it is established after a
// reply was seen (nf_conntrack_proto_tcp.c). ESTABLISHED alone is not enough: with nf_conntrack_tcp_loose=1 (the
// default), a single ACK without a connection, which anybody can forge, enters the table in that state.
inline Proof ProofOf(const FlowEvent& event) {
  if (!IsReplied(event)) return Proof::kUnanswered;
  if (event.key.protocol != FlowStateIndex::kTcp) return Proof::kAnswered;
  return (event.status & IPS_ASSURED) != 0 ? Proof::kProven : Proof::kUnanswered;
}

inline FlowStateIndex StateOf(const Flow& flow) {
  return flow.protocol == FlowStateIndex::kTcp ? FlowStateIndex::Tcp(flow.tcp_state)
                                               : FlowStateIndex::Other(flow.protocol, flow.replied);
}

inline FlowStateIndex StateOf(const FlowEvent& event) {
  return event.key.protocol == FlowStateIndex::kTcp ? FlowStateIndex::Tcp(static_cast<std::uint8_t>(event.tcp_state))
                                                    : FlowStateIndex::Other(event.key.protocol, IsReplied(event));
}

// Whether the event is about another connection with the same tuple.
inline bool IsOtherLife(const Flow& flow, const FlowEvent& event) {
  return flow.id != event.id && flow.id != 0 && event.id != 0;
}

inline constexpr auto kEstablished = static_cast<std::uint8_t>(TcpState::kEstablished);

}  // namespace conntally
