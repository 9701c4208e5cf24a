// Dumps of a part of the kernel's table: the kernel leaves out what a request does not ask for, so that whoever wants
// few entries pays for a walk through the table and not for reading it. An old kernel may send more than was asked for;
// who must not see it looks at each entry.
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
// One source's, of IPv4: asked for an IPv6 one, Linux 5.8 to 6.18 at least send all but its entries (`!ipv6_addr_cmp`
// in ctnetlink_filter_match_tuple).
NetlinkRequest EntriesOf(const IpAddress& ipv4_source);

// Adds to a request: only those of whose status (IPS_*) the bits of `mask` are as in `value`.
struct StatusFilter {
  std::uint32_t mask = 0;
  std::uint32_t value = 0;
  bool Holds(std::uint32_t status) const { return (status & mask) == value; }
};
NetlinkRequest WithStatus(NetlinkRequest request, StatusFilter filter);

// Hands on each entry, with its message. On a socket of its own, in the network namespace that the calling thread is
// in; ends early, with an error, when it shall stop.
Status DumpEntries(const NetlinkRequest& request, const std::stop_token& stop,
                   const std::function<void(const FlowEvent&, Bytes message)>& visit);

}  // namespace conntally
