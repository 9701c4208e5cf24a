#include "test/support/conntrack_oracle.h"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <sstream>
#include <vector>

#include "collectors/conntrack/decode/decode.h"
#include "test/support/message_shape.h"

namespace conntally::test {
namespace {

using Conntrack = std::unique_ptr<nf_conntrack, decltype(&nfct_destroy)>;

std::string_view Name(DecodeOutcome outcome) {
  switch (outcome) {
    case DecodeOutcome::kFlow: return "kFlow";
    case DecodeOutcome::kControl: return "kControl";
    case DecodeOutcome::kUnsupported: return "kUnsupported";
    case DecodeOutcome::kMalformed: return "kMalformed";
  }
  return "?";
}

// Exception (a): what the header alone decides, told from the bytes without our own header reader.
// nullopt when the message is a conntrack flow of IPv4 or IPv6 as far as its header says.
std::optional<DecodeOutcome> HeaderDecides(Bytes message) {
  nlmsghdr header{};
  if (message.size() < sizeof header) return DecodeOutcome::kMalformed;
  std::memcpy(&header, message.data(), sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > message.size()) return DecodeOutcome::kMalformed;
  const unsigned kind = NFNL_MSG_TYPE(header.nlmsg_type);
  if (NFNL_SUBSYS_ID(header.nlmsg_type) != NFNL_SUBSYS_CTNETLINK) return DecodeOutcome::kControl;
  if (kind != IPCTNL_MSG_CT_NEW && kind != IPCTNL_MSG_CT_DELETE) return DecodeOutcome::kControl;
  if (header.nlmsg_len < sizeof header + sizeof(nfgenmsg)) return DecodeOutcome::kMalformed;
  const auto family = std::to_integer<int>(message[sizeof header]);
  if (family != AF_INET && family != AF_INET6) return DecodeOutcome::kUnsupported;
  return std::nullopt;
}

EventKind KindOf(const nlmsghdr* header) {
  if (NFNL_MSG_TYPE(header->nlmsg_type) == IPCTNL_MSG_CT_DELETE) return EventKind::kDestroy;
  const bool created = (header->nlmsg_flags & NLM_F_CREATE) && (header->nlmsg_flags & NLM_F_EXCL);
  return created ? EventKind::kNew : EventKind::kUpdate;
}

// What the library found, in our terms.
class OracleFlow {
 public:
  OracleFlow(const nf_conntrack* conntrack, int family) : conntrack_(conntrack), ipv6_(family == AF_INET6) {}

  // Exceptions (d) and (e), and what makes a tuple whole.
  bool IsWhole() const {
    const bool has_ipv4 = Has(ATTR_ORIG_IPV4_SRC) || Has(ATTR_ORIG_IPV4_DST);
    const bool has_ipv6 = Has(ATTR_ORIG_IPV6_SRC) || Has(ATTR_ORIG_IPV6_DST);
    if (ipv6_ ? has_ipv4 : has_ipv6) return false;
    const bool addresses =
        ipv6_ ? Has(ATTR_ORIG_IPV6_SRC) && Has(ATTR_ORIG_IPV6_DST) : Has(ATTR_ORIG_IPV4_SRC) && Has(ATTR_ORIG_IPV4_DST);
    return addresses && Has(ATTR_ORIG_L4PROTO) && U8(ATTR_TCP_STATE) < kTcpStates;
  }

  FlowEvent Event() const {
    FlowEvent event;
    event.key.family = ipv6_ ? Family::kIpv6 : Family::kIpv4;
    event.key.source = Address(ipv6_ ? ATTR_ORIG_IPV6_SRC : ATTR_ORIG_IPV4_SRC);
    event.key.destination = Address(ipv6_ ? ATTR_ORIG_IPV6_DST : ATTR_ORIG_IPV4_DST);
    event.key.protocol = U8(ATTR_ORIG_L4PROTO);
    event.key.zone = Has(ATTR_ORIG_ZONE) ? U16(ATTR_ORIG_ZONE) : U16(ATTR_ZONE);
    if (event.key.protocol == IPPROTO_ICMP || event.key.protocol == IPPROTO_ICMPV6) {
      event.key.source_port = ntohs(U16(ATTR_ICMP_ID));
      event.key.destination_port = static_cast<std::uint16_t>(U8(ATTR_ICMP_TYPE) << 8 | U8(ATTR_ICMP_CODE));
    } else {
      event.key.source_port = ntohs(U16(ATTR_ORIG_PORT_SRC));
      event.key.destination_port = ntohs(U16(ATTR_ORIG_PORT_DST));
    }
    event.has_tcp_state = Has(ATTR_TCP_STATE);
    event.tcp_state = static_cast<TcpState>(U8(ATTR_TCP_STATE));
    event.has_status = Has(ATTR_STATUS);
    event.status = Has(ATTR_STATUS) ? nfct_get_attr_u32(conntrack_, ATTR_STATUS) : 0;
    event.id = Has(ATTR_ID) ? nfct_get_attr_u32(conntrack_, ATTR_ID) : 0;
    event.start_ns = Has(ATTR_TIMESTAMP_START) ? nfct_get_attr_u64(conntrack_, ATTR_TIMESTAMP_START) : 0;
    event.stop_ns = Has(ATTR_TIMESTAMP_STOP) ? nfct_get_attr_u64(conntrack_, ATTR_TIMESTAMP_STOP) : 0;
    return event;
  }

 private:
  bool Has(nf_conntrack_attr attribute) const { return nfct_attr_is_set(conntrack_, attribute) > 0; }
  std::uint8_t U8(nf_conntrack_attr attribute) const {
    return Has(attribute) ? nfct_get_attr_u8(conntrack_, attribute) : std::uint8_t{0};
  }
  std::uint16_t U16(nf_conntrack_attr attribute) const {
    return Has(attribute) ? nfct_get_attr_u16(conntrack_, attribute) : std::uint16_t{0};
  }
  std::array<std::uint8_t, 16> Address(nf_conntrack_attr attribute) const {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), nfct_get_attr(conntrack_, attribute), ipv6_ ? 16 : 4);
    return bytes;
  }

  const nf_conntrack* conntrack_;
  bool ipv6_;
};

std::string Differences(const FlowEvent& ours, const FlowEvent& theirs) {
  std::ostringstream text;
  auto compare = [&](const char* field, auto our, auto their) {
    if (our != their)
      text << field << ": " << static_cast<std::uint64_t>(our) << ", the library " << static_cast<std::uint64_t>(their)
           << "; ";
  };
  if (ours.key.source != theirs.key.source) text << "source; ";
  if (ours.key.destination != theirs.key.destination) text << "destination; ";
  compare("family", ours.key.family, theirs.key.family);
  compare("protocol", ours.key.protocol, theirs.key.protocol);
  compare("source_port", ours.key.source_port, theirs.key.source_port);
  compare("destination_port", ours.key.destination_port, theirs.key.destination_port);
  compare("zone", ours.key.zone, theirs.key.zone);
  compare("kind", ours.kind, theirs.kind);
  compare("has_tcp_state", ours.has_tcp_state, theirs.has_tcp_state);
  compare("tcp_state", ours.tcp_state, theirs.tcp_state);
  compare("has_status", ours.has_status, theirs.has_status);
  compare("status", ours.status, theirs.status);
  compare("id", ours.id, theirs.id);
  compare("start_ns", ours.start_ns, theirs.start_ns);
  compare("stop_ns", ours.stop_ns, theirs.stop_ns);
  return text.str();
}

OracleReport Judge(DecodeOutcome outcome, DecodeOutcome expected) {
  OracleReport report{Comparison::kAgreed, outcome == DecodeOutcome::kFlow, {}};
  if (outcome == expected) return report;
  report.comparison = Comparison::kDisagreed;
  report.text = std::string(Name(outcome)) + " where " + std::string(Name(expected)) + " was expected";
  return report;
}

}  // namespace

OracleReport CompareWithOracle(Bytes message) {
  FlowEvent event;
  const DecodeOutcome outcome = DecodeFlow(message, event);
  if (const auto expected = HeaderDecides(message)) return Judge(outcome, *expected);

  const std::vector<std::byte> aligned(message.begin(), message.end());  // libmnl's loads need it
  const auto* header = reinterpret_cast<const nlmsghdr*>(aligned.data());
  const MessageShape shape = InspectMessage(header);
  if (shape.refused) return Judge(outcome, DecodeOutcome::kMalformed);
  if (shape.oracle_unsafe) return {Comparison::kNotComparable, outcome == DecodeOutcome::kFlow, {}};

  const Conntrack conntrack(nfct_new(), &nfct_destroy);
  const bool accepted = nfct_nlmsg_parse(header, conntrack.get()) == 0;
  const OracleFlow oracle(conntrack.get(), std::to_integer<int>(aligned[sizeof(nlmsghdr)]));
  if (!accepted || !oracle.IsWhole()) return Judge(outcome, DecodeOutcome::kMalformed);

  OracleReport report = Judge(outcome, DecodeOutcome::kFlow);
  if (report.comparison != Comparison::kAgreed) return report;
  FlowEvent expected = oracle.Event();
  expected.kind = KindOf(header);
  if (shape.foreign_fields) {
    expected.key.source_port = event.key.source_port;
    expected.key.destination_port = event.key.destination_port;
  }
  report.text = Differences(event, expected);
  if (!report.text.empty()) report.comparison = Comparison::kDisagreed;
  return report;
}

}  // namespace conntally::test
