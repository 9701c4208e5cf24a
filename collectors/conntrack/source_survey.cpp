#include "collectors/conntrack/source_survey.h"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <new>

#include "collectors/conntrack/decode.h"
#include "collectors/netlink/query.h"
#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

constexpr std::size_t kFilteredDumpsMax = 2;  // beyond, one dump of the family is cheaper

FlowStateIndex StateOf(const FlowEvent& flow) {
  if (flow.key.protocol == FlowStateIndex::kTcp) return FlowStateIndex::Tcp(static_cast<std::uint8_t>(flow.tcp_state));
  return FlowStateIndex::Other(flow.key.protocol, flow.has_status && (flow.status & IPS_SEEN_REPLY) != 0);
}

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* handle) const { kFree(handle); }
};
using LibraryFlow = std::unique_ptr<nf_conntrack, Free<nf_conntrack, nfct_destroy>>;
using LibraryFilter = std::unique_ptr<nfct_filter_dump, Free<nfct_filter_dump, nfct_filter_dump_destroy>>;

// One family's entries alone.
NetlinkRequest EntriesOf(Family family) {
  NetlinkRequest request(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NetlinkRequest::Wants::kDump);
  const LibraryFilter filter(nfct_filter_dump_create());
  if (!filter) throw std::bad_alloc();
  nfct_filter_dump_set_attr_u8(filter.get(), NFCT_FILTER_DUMP_L3NUM, family == Family::kIpv4 ? AF_INET : AF_INET6);
  nfct_nlmsg_build_filter(request.message(), filter.get());
  return request;
}

// One source's, of IPv4: asked for an IPv6 one, Linux 5.8 to 6.18 at least send all but its entries (`!ipv6_addr_cmp`
// in ctnetlink_filter_match_tuple). A kernel that does not know CTA_FILTER sends all of the family, and the library
// writes it only since 1.1, which Debian 12 does not have.
NetlinkRequest EntriesOf(const IpAddress& ipv4_source) {
  constexpr std::uint32_t kBySource = 1;  // CTA_FILTER_F_CTA_IP_SRC of net/netfilter/nf_internals.h
  NetlinkRequest request = EntriesOf(Family::kIpv4);
  const LibraryFlow flow(nfct_new());
  if (!flow) throw std::bad_alloc();
  nfct_set_attr_u8(flow.get(), ATTR_L3PROTO, AF_INET);
  nfct_set_attr_u8(flow.get(), ATTR_L4PROTO,
                   IPPROTO_TCP);  // the library writes no tuple without; the filter ignores it
  nfct_set_attr(flow.get(), ATTR_IPV4_SRC, ipv4_source.bytes.data());
  nfct_nlmsg_build(request.message(), flow.get());
  nlattr* const nest = mnl_attr_nest_start(request.message(), CTA_FILTER);
  request.Put(CTA_FILTER_ORIG_FLAGS, kBySource).Put(CTA_FILTER_REPLY_FLAGS, std::uint32_t{0});
  mnl_attr_nest_end(request.message(), nest);
  return request;
}

// Adds what is answered, or of that only one source's.
Status Dump(const NetlinkRequest& request, const IpAddress* only, const std::stop_token& stop, SourceSurvey& survey) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  if (const auto sent = SendRequest(*socket, request); !sent) return sent;
  ReplyBuffer buffer;
  while (!stop.stop_requested()) {
    FlowEvent flow;
    const auto progress = ReceiveReplies(*socket, buffer, [&](Bytes message) {
      if (DecodeFlow(message, flow) != DecodeOutcome::kFlow) return;
      if (only == nullptr || flow.key.SourceAddress() == *only) survey.Add(flow);
    });
    if (!progress) return progress.error();
    if (progress.value() == ReplyProgress::kDone) return Ok();
  }
  return Error{"told to stop", ECANCELED};
}

}  // namespace

SourceSurvey::SourceSurvey(const std::vector<IpAddress>& sources, SourceGrouping grouping) : grouping_(grouping) {
  for (const IpAddress& source : sources) sources_[source];
}

void SourceSurvey::Add(const FlowEvent& flow) {
  const IpAddress source = flow.key.SourceAddress();
  const auto found = sources_.find(Masked(source, grouping_.Of(source.family)));
  if (found == sources_.end()) return;
  SurveyedConnections& connections = found->second;
  ++connections.connections;
  const SurveyedConnections::Kind kind{flow.key.protocol,
                                       HasPorts(flow.key.protocol) ? flow.key.destination_port : std::uint16_t{0},
                                       static_cast<std::uint16_t>(StateOf(flow).value())};
  const auto known = connections.kinds.find(kind);
  if (known != connections.kinds.end()) {
    ++known->second;
  } else if (connections.kinds.size() < SurveyedConnections::kKindsMax) {
    connections.kinds.emplace(kind, 1);
  } else {
    ++connections.others;
  }
}

Status SurveyKernel(const std::vector<IpAddress>& sources, SourceGrouping grouping, const std::stop_token& stop,
                    SourceSurvey& survey) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    std::vector<IpAddress> wanted;
    std::copy_if(sources.begin(), sources.end(), std::back_inserter(wanted),
                 [&](const IpAddress& source) { return source.family == family; });
    const bool each =
        family == Family::kIpv4 && wanted.size() <= kFilteredDumpsMax && grouping.Of(family) == AddressBits(family);
    Status dumped = Ok();
    if (!each && !wanted.empty()) dumped = Dump(EntriesOf(family), nullptr, stop, survey);
    for (std::size_t i = 0; each && dumped && i < wanted.size(); ++i) {
      dumped = Dump(EntriesOf(wanted[i]), &wanted[i], stop, survey);
    }
    if (!dumped) return dumped;
  }
  return Ok();
}

}  // namespace conntally
