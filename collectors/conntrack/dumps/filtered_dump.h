// Dumps part of the kernel's table: the kernel filters the entries, so a caller that wants few entries pays only for
// the kernel's walk through the table. An old kernel may ignore the filter, so a caller that depends on it must check
// each entry.
//
// Sources: net/netfilter/nf_conntrack_netlink.c (ctnetlink_alloc_filter, ctnetlink_filter_match).
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>

#include "collectors/conntrack/decode/flow_event.h"
#include "collectors/netlink/request.h"
#include "collectors/system/result.h"

namespace conntally {

NetlinkRequest AllEntries();
NetlinkRequest EntriesOf(Family family);
// The entries of one IPv4 source. Not for IPv6: Linux 5.8 to 6.18 at least then send all entries except the source's
// (`!ipv6_addr_cmp` in ctnetlink_filter_match_tuple).
NetlinkRequest EntriesOf(const IpAddress& ipv4_source);

// Limits a request to entries whose status bits (IPS_*) in `mask` equal those in `value`.
struct StatusFilter {
  std::uint32_t mask = 0;
  std::uint32_t value = 0;
  bool Holds(std::uint32_t status) const { return (status & mask) == value; }
};
NetlinkRequest WithStatus(NetlinkRequest request, StatusFilter filter);

// Visits each entry with its message. Uses its own socket, in the calling thread's network namespace. Ends early with
// an error if `stop` is requested.
Status DumpEntries(const NetlinkRequest& request, const std::stop_token& stop,
                   const std::function<void(const FlowEvent&, Bytes message)>& visit);

}  // namespace conntally
