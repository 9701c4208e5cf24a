#include "collectors/conntrack/dumps/filtered_dump.h"

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <memory>
#include <new>

#include "collectors/conntrack/decode/decode.h"
#include "collectors/netlink/query.h"

namespace conntally {
namespace {

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* handle) const { kFree(handle); }
};
using LibraryFlow = std::unique_ptr<nf_conntrack, Free<nf_conntrack, nfct_destroy>>;
using LibraryFilter = std::unique_ptr<nfct_filter_dump, Free<nfct_filter_dump, nfct_filter_dump_destroy>>;

}  // namespace

NetlinkRequest AllEntries() { return {NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NetlinkRequest::Wants::kDump}; }

NetlinkRequest EntriesOf(Family family) {
  NetlinkRequest request = AllEntries();
  const LibraryFilter filter(nfct_filter_dump_create());
  if (!filter) throw std::bad_alloc();
  nfct_filter_dump_set_attr_u8(filter.get(), NFCT_FILTER_DUMP_L3NUM, family == Family::kIpv4 ? AF_INET : AF_INET6);
  nfct_nlmsg_build_filter(request.message(), filter.get());
  return request;
}

// A kernel without CTA_FILTER sends all entries of the family. The library supports it only since 1.1, which Debian 12
// does not have.
NetlinkRequest EntriesOf(const IpAddress& ipv4_source) {
  constexpr std::uint32_t kBySource = 1;  // CTA_FILTER_F_CTA_IP_SRC of net/netfilter/nf_internals.h
  NetlinkRequest request = EntriesOf(Family::kIpv4);
  const LibraryFlow flow(nfct_new());
  if (!flow) throw std::bad_alloc();
  nfct_set_attr_u8(flow.get(), ATTR_L3PROTO, AF_INET);
  nfct_set_attr_u8(flow.get(), ATTR_L4PROTO,
                   IPPROTO_TCP);  // the library needs it to write a tuple; the filter ignores it
  nfct_set_attr(flow.get(), ATTR_IPV4_SRC, ipv4_source.bytes.data());
  nfct_nlmsg_build(request.message(), flow.get());
  nlattr* const nest = mnl_attr_nest_start(request.message(), CTA_FILTER);
  request.Put(CTA_FILTER_ORIG_FLAGS, kBySource).Put(CTA_FILTER_REPLY_FLAGS, std::uint32_t{0});
  mnl_attr_nest_end(request.message(), nest);
  return request;
}

NetlinkRequest WithStatus(NetlinkRequest request, StatusFilter filter) {
  request.Put(CTA_STATUS, htonl(filter.value)).Put(CTA_STATUS_MASK, htonl(filter.mask));
  return request;
}

Status DumpEntries(const NetlinkRequest& request, const std::stop_token& stop,
                   const std::function<void(const FlowEvent&, Bytes message)>& visit) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  if (const auto sent = SendRequest(*socket, request); !sent) return sent;
  ReplyBuffer buffer;
  while (!stop.stop_requested()) {
    FlowEvent flow;
    const auto progress = ReceiveReplies(*socket, buffer, [&](Bytes message) {
      if (DecodeFlow(message, flow) == DecodeOutcome::kFlow) visit(flow, message);
    });
    if (!progress) return progress.error();
    if (progress.value() == ReplyProgress::kDone) return Ok();
  }
  return Error{"told to stop", ECANCELED};
}

}  // namespace conntally
