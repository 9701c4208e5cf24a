#include "test/support/message_shape.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <map>

namespace conntally::test {
namespace {

enum class Level {
  kMessage,
  kTuple,
  kAddresses,
  kProtocol,
  kProtocolInfo,
  kTcp,
  kSctp,
  kDccp,
  kCounters,
  kSequence,
  kHelper,
  kSecurity,
  kTimestamps,
  kSynproxy,
};

enum class Form { kAnything, kFixed, kNest, kString, kNeverShown };

// What the library demands of an attribute, and whether DecodeFlow reads it.
struct Rule {
  Form form = Form::kAnything;
  std::size_t bytes = 0;  // kFixed
  Level nest = {};        // kNest
  bool is_read = false;
};

using Rules = std::map<int, Rule>;

Rule Fixed(std::size_t bytes) { return {Form::kFixed, bytes, {}, false}; }
Rule Nest(Level level) { return {Form::kNest, 0, level, false}; }
Rule Text() { return {Form::kString, 0, {}, false}; }
Rule Read(Rule rule) {
  rule.is_read = true;
  return rule;
}

Rules MessageRules() {
  return {{CTA_TUPLE_ORIG, Read(Nest(Level::kTuple))},
          {CTA_TUPLE_REPLY, Nest(Level::kTuple)},
          {CTA_TUPLE_MASTER, Nest(Level::kTuple)},
          {CTA_STATUS, Read(Fixed(4))},
          {CTA_PROTOINFO, Read(Nest(Level::kProtocolInfo))},
          {CTA_HELP, Nest(Level::kHelper)},
          {CTA_TIMEOUT, Fixed(4)},
          {CTA_MARK, Fixed(4)},
          {CTA_COUNTERS_ORIG, Nest(Level::kCounters)},
          {CTA_COUNTERS_REPLY, Nest(Level::kCounters)},
          {CTA_USE, Fixed(4)},
          {CTA_ID, Read(Fixed(4))},
          {CTA_SEQ_ADJ_ORIG, Nest(Level::kSequence)},
          {CTA_SEQ_ADJ_REPLY, Nest(Level::kSequence)},
          {CTA_SECMARK, Fixed(4)},
          {CTA_ZONE, Read(Fixed(2))},
          {CTA_SECCTX, Nest(Level::kSecurity)},
          {CTA_TIMESTAMP, Read(Nest(Level::kTimestamps))},
          {CTA_SYNPROXY, Nest(Level::kSynproxy)}};
}

Rules TupleRules() {
  return {{CTA_TUPLE_IP, Read(Nest(Level::kAddresses))},
          {CTA_TUPLE_PROTO, Read(Nest(Level::kProtocol))},
          {CTA_TUPLE_ZONE, Read(Fixed(2))}};
}

Rules ProtocolRules() {
  return {{CTA_PROTO_NUM, Read(Fixed(1))},        {CTA_PROTO_SRC_PORT, Read(Fixed(2))},
          {CTA_PROTO_DST_PORT, Read(Fixed(2))},   {CTA_PROTO_ICMP_ID, Read(Fixed(2))},
          {CTA_PROTO_ICMP_TYPE, Read(Fixed(1))},  {CTA_PROTO_ICMP_CODE, Read(Fixed(1))},
          {CTA_PROTO_ICMPV6_ID, Read(Fixed(2))},  {CTA_PROTO_ICMPV6_TYPE, Read(Fixed(1))},
          {CTA_PROTO_ICMPV6_CODE, Read(Fixed(1))}};
}

Rules ProtocolInfoRules() {
  return {{CTA_PROTOINFO_TCP, Read(Nest(Level::kTcp))},
          {CTA_PROTOINFO_DCCP, Nest(Level::kDccp)},
          {CTA_PROTOINFO_SCTP, Nest(Level::kSctp)},
          {CTA_PROTOINFO_MAX + 1, {Form::kNeverShown, 0, {}, false}},
          {CTA_PROTOINFO_MAX + 2, {Form::kNeverShown, 0, {}, false}}};
}

Rules RulesOf(Level level) {
  switch (level) {
    case Level::kMessage: return MessageRules();
    case Level::kTuple: return TupleRules();
    case Level::kAddresses:
      return {{CTA_IP_V4_SRC, Read(Fixed(4))},
              {CTA_IP_V4_DST, Read(Fixed(4))},
              {CTA_IP_V6_SRC, Read(Fixed(16))},
              {CTA_IP_V6_DST, Read(Fixed(16))}};
    case Level::kProtocol: return ProtocolRules();
    case Level::kProtocolInfo: return ProtocolInfoRules();
    case Level::kTcp:
      return {{CTA_PROTOINFO_TCP_STATE, Read(Fixed(1))},
              {CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, Fixed(1)},
              {CTA_PROTOINFO_TCP_WSCALE_REPLY, Fixed(1)},
              {CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, Fixed(2)},
              {CTA_PROTOINFO_TCP_FLAGS_REPLY, Fixed(2)}};
    case Level::kSctp:
      return {{CTA_PROTOINFO_SCTP_STATE, Fixed(1)},
              {CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, Fixed(4)},
              {CTA_PROTOINFO_SCTP_VTAG_REPLY, Fixed(4)}};
    case Level::kDccp:
      return {{CTA_PROTOINFO_DCCP_STATE, Fixed(1)},
              {CTA_PROTOINFO_DCCP_ROLE, Fixed(1)},
              {CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ, Fixed(8)}};
    case Level::kCounters:
      return {{CTA_COUNTERS_PACKETS, Fixed(8)},
              {CTA_COUNTERS_BYTES, Fixed(8)},
              {CTA_COUNTERS32_PACKETS, Fixed(4)},
              {CTA_COUNTERS32_BYTES, Fixed(4)}};
    case Level::kSequence:
    case Level::kSynproxy: return {{1, Fixed(4)}, {2, Fixed(4)}, {3, Fixed(4)}};
    case Level::kHelper: return {{CTA_HELP_NAME, Text()}};
    case Level::kSecurity: return {{CTA_SECCTX_NAME, Text()}};
    case Level::kTimestamps: return {{CTA_TIMESTAMP_START, Read(Fixed(8))}, {CTA_TIMESTAMP_STOP, Read(Fixed(8))}};
  }
  return {};
}

const Rule* FindRule(Level level, int type) {
  static const auto table = [] {
    std::array<Rules, static_cast<std::size_t>(Level::kSynproxy) + 1> all;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = RulesOf(static_cast<Level>(i));
    return all;
  }();
  const Rules& rules = table[static_cast<std::size_t>(level)];
  const auto found = rules.find(type);
  return found == rules.end() ? nullptr : &found->second;
}

bool Fits(const Rule& rule, const nlattr* attribute) {
  const std::size_t length = mnl_attr_get_payload_len(attribute);
  switch (rule.form) {
    case Form::kAnything: return true;
    case Form::kFixed: return length == rule.bytes;
    case Form::kNest: return length == 0 || length >= sizeof(nlattr);
    case Form::kString: return std::memchr(mnl_attr_get_payload(attribute), 0, length) != nullptr;
    case Form::kNeverShown: return false;
  }
  return false;
}

class Inspector {
 public:
  void Walk(Level level, bool is_read, const void* begin, std::size_t size) {
    std::map<int, const nlattr*> last;  // of each type the library keeps the last
    const auto* attribute = static_cast<const nlattr*>(begin);
    const char* end = static_cast<const char*>(begin) + size;
    auto rest = [&] { return static_cast<int>(end - reinterpret_cast<const char*>(attribute)); };
    for (; mnl_attr_ok(attribute, rest()); attribute = mnl_attr_next(attribute)) {
      const int type = mnl_attr_get_type(attribute);
      const Rule* rule = FindRule(level, type);
      if (!rule) continue;
      if (!Fits(*rule, attribute)) (is_read && rule->is_read ? shape_.refused : shape_.oracle_unsafe) = true;
      last[type] = attribute;
    }
    if (is_read && rest() > 0) shape_.refused = true;
    if (shape_.refused || shape_.oracle_unsafe) return;

    for (const auto& [type, kept] : last) {
      const Rule* rule = FindRule(level, type);
      if (rule->form != Form::kNest) continue;
      const bool child_is_read = is_read && rule->is_read;
      Walk(rule->nest, child_is_read, mnl_attr_get_payload(kept), mnl_attr_get_payload_len(kept));
    }
    if (level == Level::kProtocol && is_read) shape_.foreign_fields = HasForeignFields(last);
  }

  MessageShape shape() const { return shape_; }

 private:
  static bool HasForeignFields(const std::map<int, const nlattr*>& fields) {
    const auto number = fields.find(CTA_PROTO_NUM);
    if (number == fields.end()) return false;
    const std::uint8_t protocol = mnl_attr_get_u8(number->second);
    const int first = protocol == IPPROTO_ICMP     ? CTA_PROTO_ICMP_ID
                      : protocol == IPPROTO_ICMPV6 ? CTA_PROTO_ICMPV6_ID
                                                   : CTA_PROTO_SRC_PORT;
    const int last = protocol == IPPROTO_ICMP     ? CTA_PROTO_ICMP_CODE
                     : protocol == IPPROTO_ICMPV6 ? CTA_PROTO_ICMPV6_CODE
                                                  : CTA_PROTO_DST_PORT;
    for (const auto& [type, attribute] : fields)
      if (type != CTA_PROTO_NUM && (type < first || type > last)) return true;
    return false;
  }

  MessageShape shape_;
};

}  // namespace

MessageShape InspectMessage(const nlmsghdr* header) {
  Inspector inspector;
  inspector.Walk(Level::kMessage, true, mnl_nlmsg_get_payload_offset(header, sizeof(nfgenmsg)),
                 header->nlmsg_len - NLMSG_HDRLEN - sizeof(nfgenmsg));
  return inspector.shape();
}

}  // namespace conntally::test
