#include "collectors/conntrack/source_survey.h"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <new>

#include "collectors/conntrack/decode.h"
#include "collectors/netlink/query.h"

namespace conntally {
namespace {

constexpr std::size_t kFilteredDumpsMax = 2;  // beyond, one whole dump is cheaper

bool HasPorts(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
         protocol == IPPROTO_UDPLITE;
}

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

// Asks for one source's entries alone. A kernel that does not know CTA_FILTER sends all of its family. The library
// writes the tuple and the family; CTA_FILTER it knows only since 1.1, which Debian 12 does not have.
void AddFilter(const IpAddress& source, NetlinkRequest& request) {
  constexpr std::uint32_t kBySource = 1;  // CTA_FILTER_F_CTA_IP_SRC of net/netfilter/nf_internals.h
  const std::uint8_t family = source.family == Family::kIpv4 ? AF_INET : AF_INET6;
  const LibraryFlow flow(nfct_new());
  const LibraryFilter filter(nfct_filter_dump_create());
  if (!flow || !filter) throw std::bad_alloc();
  nfct_set_attr_u8(flow.get(), ATTR_L3PROTO, family);
  nfct_set_attr_u8(flow.get(), ATTR_L4PROTO,
                   IPPROTO_TCP);  // the library writes no tuple without; the filter ignores it
  nfct_set_attr(flow.get(), family == AF_INET ? ATTR_IPV4_SRC : ATTR_IPV6_SRC, source.bytes.data());
  nfct_nlmsg_build(request.message(), flow.get());
  nfct_filter_dump_set_attr_u8(filter.get(), NFCT_FILTER_DUMP_L3NUM, family);
  nfct_nlmsg_build_filter(request.message(), filter.get());
  nlattr* const nest = mnl_attr_nest_start(request.message(), CTA_FILTER);
  request.Put(CTA_FILTER_ORIG_FLAGS, kBySource).Put(CTA_FILTER_REPLY_FLAGS, std::uint32_t{0});
  mnl_attr_nest_end(request.message(), nest);
}

Status Dump(const IpAddress* only, const std::stop_token& stop, SourceSurvey& survey) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  NetlinkRequest request(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NetlinkRequest::Wants::kDump);
  if (only != nullptr) AddFilter(*only, request);
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

bool IsWhole(const IpAddress& source, SourceGrouping grouping) {
  return (source.family == Family::kIpv4 ? grouping.ipv4_prefix : grouping.ipv6_prefix) == AddressBits(source.family);
}

}  // namespace

SourceSurvey::SourceSurvey(const std::vector<IpAddress>& sources, SourceGrouping grouping) : grouping_(grouping) {
  for (const IpAddress& source : sources) sources_[source];
}

void SourceSurvey::Add(const FlowEvent& flow) {
  const IpAddress source = flow.key.SourceAddress();
  const auto found =
      sources_.find(Masked(source, source.family == Family::kIpv4 ? grouping_.ipv4_prefix : grouping_.ipv6_prefix));
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
  bool each = sources.size() <= kFilteredDumpsMax;
  for (const IpAddress& source : sources) each = each && IsWhole(source, grouping);
  if (!each) return Dump(nullptr, stop, survey);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (const auto dumped = Dump(&sources[i], stop, survey); !dumped) return dumped;
  }
  return Ok();
}

}  // namespace conntally
