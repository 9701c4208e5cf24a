#include "collectors/tally/protocol_names.h"

namespace conntally {

// Not getprotobynumber(3): its answer depends on the host's /etc/protocols, and a label must not.
std::string ProtocolName(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_ICMP: return "icmp";
    case IPPROTO_IGMP: return "igmp";
    case IPPROTO_IPIP: return "ipip";
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_DCCP: return "dccp";
    case IPPROTO_IPV6: return "ipv6";
    case IPPROTO_GRE: return "gre";
    case IPPROTO_ESP: return "esp";
    case IPPROTO_AH: return "ah";
    case IPPROTO_ICMPV6: return "icmpv6";
    case 89: return "ospf";   // netinet/in.h has no name for it
    case 112: return "vrrp";  // nor for this one
    case IPPROTO_SCTP: return "sctp";
    case IPPROTO_UDPLITE: return "udplite";
    default: return std::to_string(protocol);
  }
}

std::string StateName(FlowStateIndex index) {
  if (!index.is_tcp()) return index.replied() ? "replied" : "unreplied";
  switch (index.tcp_state()) {  // enum tcp_conntrack of linux/netfilter/nf_conntrack_tcp.h
    case 1: return "syn_sent";
    case 2: return "syn_recv";
    case 3: return "established";
    case 4: return "fin_wait";
    case 5: return "close_wait";
    case 6: return "last_ack";
    case 7: return "time_wait";
    case 8: return "close";
    case 9: return "syn_sent2";
    default: return "none";
  }
}

}  // namespace conntally
