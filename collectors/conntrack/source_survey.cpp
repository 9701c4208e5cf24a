#include "collectors/conntrack/source_survey.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>

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

// One attribute after another, nests closed by hand.
class AttributeWriter {
 public:
  std::size_t Open(std::uint16_t type) {
    const std::size_t at = bytes_.size();
    Append(std::uint16_t{0});
    Append(type);
    return at;
  }
  void Close(std::size_t at) {
    const auto length = static_cast<std::uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &length, sizeof length);
    while (bytes_.size() % 4 != 0) bytes_.push_back({});
  }
  void Put(std::uint16_t type, Bytes payload) {
    const std::size_t at = Open(type);
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    Close(at);
  }
  template <typename Number>
  void Append(Number number) {
    const Bytes raw = std::as_bytes(std::span(&number, 1));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  Bytes bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Asks for one source's entries alone. A kernel that does not know CTA_FILTER sends all of them.
AttributeWriter FilterBySource(const IpAddress& source) {
  constexpr std::uint32_t kBySource = 1;  // CTA_FILTER_F_CTA_IP_SRC of net/netfilter/nf_internals.h
  const bool ipv4 = source.family == Family::kIpv4;
  AttributeWriter writer;
  const std::size_t tuple = writer.Open(CTA_TUPLE_ORIG | NLA_F_NESTED);
  const std::size_t ip = writer.Open(CTA_TUPLE_IP | NLA_F_NESTED);
  writer.Put(ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, std::as_bytes(std::span(source.bytes)).first(ipv4 ? 4 : 16));
  writer.Close(ip);
  writer.Close(tuple);
  const std::size_t filter = writer.Open(CTA_FILTER | NLA_F_NESTED);
  for (const auto& [type, flags] :
       {std::pair{CTA_FILTER_ORIG_FLAGS, kBySource}, std::pair{CTA_FILTER_REPLY_FLAGS, 0U}}) {
    writer.Put(static_cast<std::uint16_t>(type), std::as_bytes(std::span(&flags, 1)));
  }
  writer.Close(filter);
  return writer;
}

Status Dump(const IpAddress* only, const std::stop_token& stop, SourceSurvey& survey) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  AttributeWriter filter;
  NetlinkRequest request{NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, AF_UNSPEC, true};
  if (only != nullptr) {
    filter = FilterBySource(*only);
    request.family = only->family == Family::kIpv4 ? AF_INET : AF_INET6;
    request.attributes = filter.bytes();
  }
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
