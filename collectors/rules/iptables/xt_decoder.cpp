#include "collectors/rules/iptables/xt_decoder.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_pkttype.h>
#include <linux/netfilter/xt_rpfilter.h>
#include <linux/netfilter/xt_set.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <algorithm>

#include "collectors/rules/iptables/xt_bytes.h"
#include "collectors/rules/iptables/xt_limits.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// From linux/netfilter_ipv4/ip_tables.h and linux/netfilter_ipv6/ip6_tables.h, which cannot be included with others.
struct IcmpMatch {
  std::uint8_t type;
  std::uint8_t code[2];
  std::uint8_t invert;
};

void AddNumbers(Rule& rule, Kind kind, std::vector<NumberRange> numbers, bool negated) {
  rule.conditions.push_back({kind, negated, {}, std::move(numbers), {}, {}, false});
}

void AddPorts(Rule& rule, Kind kind, const std::uint16_t (&ports)[2], bool negated) {
  if (ports[0] == 0 && ports[1] == 0xffff && !negated) return;
  AddNumbers(rule, kind, {{ports[0], ports[1]}}, negated);
}

bool Tcp(Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_tcp>(info);
  if (!match) return false;
  AddPorts(rule, Kind::kSourcePort, match->spts, (match->invflags & XT_TCP_INV_SRCPT) != 0);
  AddPorts(rule, Kind::kDestinationPort, match->dpts, (match->invflags & XT_TCP_INV_DSTPT) != 0);
  if (match->flg_mask != 0) {
    AddNumbers(rule, Kind::kTcpFlags, {{match->flg_cmp, match->flg_mask}}, (match->invflags & XT_TCP_INV_FLAGS) != 0);
  }
  return match->option == 0;
}

bool Udp(Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_udp>(info);
  if (!match) return false;
  AddPorts(rule, Kind::kSourcePort, match->spts, (match->invflags & XT_UDP_INV_SRCPT) != 0);
  AddPorts(rule, Kind::kDestinationPort, match->dpts, (match->invflags & XT_UDP_INV_DSTPT) != 0);
  return true;
}

bool Icmp(Bytes info, Rule& rule) {
  const auto match = ReadXt<IcmpMatch>(info);
  if (!match) return false;
  if (match->type != 0xff) AddNumbers(rule, Kind::kIcmpType, {{match->type, match->type}}, (match->invert & 1) != 0);
  const bool every_code = match->code[0] == 0 && match->code[1] == 0xff;
  const bool negated = (match->invert & 1) != 0;
  if (!every_code) AddNumbers(rule, Kind::kIcmpCode, {{match->code[0], match->code[1]}}, false);
  return every_code || !negated;  // if negated, type and code are one condition
}

bool AddressType(std::uint32_t revision, Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_addrtype_info_v1>(info);
  if (revision != 1 || !match) return false;
  const auto add = [&](Kind kind, std::uint16_t types, bool negated) {
    std::vector<NumberRange> numbers;
    for (std::uint32_t type = 0; type < 16; ++type) {
      if ((types >> type & 1) != 0) numbers.push_back({type, type});
    }
    if (types != 0) AddNumbers(rule, kind, std::move(numbers), negated);
  };
  add(Kind::kSourceType, match->source, (match->flags & XT_ADDRTYPE_INVERT_SOURCE) != 0);
  add(Kind::kDestinationType, match->dest, (match->flags & XT_ADDRTYPE_INVERT_DEST) != 0);
  return (match->flags & (XT_ADDRTYPE_LIMIT_IFACE_IN | XT_ADDRTYPE_LIMIT_IFACE_OUT)) == 0;
}

bool Mark(std::uint32_t revision, Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_mark_mtinfo1>(info);
  if (revision != 1 || !match) return false;
  AddNumbers(rule, Kind::kMark, {{match->mark, match->mask}}, match->invert != 0);
  return true;
}

bool PacketType(Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_pkttype_info>(info);
  if (!match) return false;
  const auto type = static_cast<std::uint32_t>(match->pkttype);
  AddNumbers(rule, Kind::kPacketType, {{type, type}}, match->invert != 0);
  return true;
}

bool ReversePath(Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_rpfilter_info>(info);
  if (!match) return false;
  AddNumbers(rule, Kind::kReversePath, {{1, 1}}, (match->flags & XT_RPFILTER_INVERT) != 0);
  return (match->flags & XT_RPFILTER_LOOSE) == 0;
}

bool Multiport(std::uint32_t revision, Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_multiport_v1>(info);
  if (revision != 1 || !match || match->flags == XT_MULTIPORT_EITHER) return false;
  std::vector<NumberRange> ports;
  for (std::size_t i = 0; i < std::min<std::size_t>(match->count, XT_MULTI_PORTS); ++i) {
    const bool range = match->pflags[i] != 0 && i + 1 < XT_MULTI_PORTS;
    ports.push_back({match->ports[i], match->ports[range ? i + 1 : i]});
    if (range) ++i;
  }
  AddNumbers(rule, match->flags == XT_MULTIPORT_SOURCE ? Kind::kSourcePort : Kind::kDestinationPort, std::move(ports),
             match->invert != 0);
  return true;
}

bool State(Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_state_info>(info);
  if (match) AddNumbers(rule, Kind::kConntrackState, {{match->statemask, match->statemask}}, false);
  return match.has_value();
}

bool Conntrack(std::uint32_t revision, Bytes info, Rule& rule) {
  std::uint32_t flags = 0, invert = 0, states = 0;
  if (const auto match = ReadXt<xt_conntrack_mtinfo3>(info); match && revision == 3) {
    flags = match->match_flags, invert = match->invert_flags, states = match->state_mask;
  } else if (const auto older = ReadXt<xt_conntrack_mtinfo2>(info); older && revision == 2) {
    flags = older->match_flags, invert = older->invert_flags, states = older->state_mask;
  } else if (const auto oldest = ReadXt<xt_conntrack_mtinfo1>(info); oldest && revision == 1) {
    flags = oldest->match_flags, invert = oldest->invert_flags, states = oldest->state_mask;
  } else {
    return false;
  }
  flags &= ~std::uint32_t{XT_CONNTRACK_STATE_ALIAS};  // it was written as `-m state`
  if (flags != XT_CONNTRACK_STATE) return false;
  std::uint32_t status = 0;
  if ((states & XT_CONNTRACK_STATE_SNAT) != 0) status |= IPS_SRC_NAT;
  if ((states & XT_CONNTRACK_STATE_DNAT) != 0) status |= IPS_DST_NAT;
  if (status != 0) {
    const std::uint32_t others = states & ~std::uint32_t{XT_CONNTRACK_STATE_SNAT | XT_CONNTRACK_STATE_DNAT};
    if (others != 0) return false;  // a state or a translated address, either of which matches
    AddNumbers(rule, Kind::kConntrackStatus, {{status, status}}, (invert & XT_CONNTRACK_STATE) != 0);
    return true;
  }
  const bool untracked = (states & XT_CONNTRACK_STATE_UNTRACKED) != 0;
  states = (states & 0x3fU) | (untracked ? 64U : 0U);
  AddNumbers(rule, Kind::kConntrackState, {{states, states}}, (invert & XT_CONNTRACK_STATE) != 0);
  return true;
}

bool IpRange(std::uint32_t revision, Bytes info, std::optional<Family> family, Rule& rule) {
  const auto match = ReadXt<xt_iprange_mtinfo>(info);
  if (revision != 1 || !match || !family) return false;
  const auto add = [&](Kind kind, const nf_inet_addr& first, const nf_inet_addr& last, bool negated) {
    rule.conditions.push_back(
        {kind, negated, {{XtAddress(&first, *family), XtAddress(&last, *family)}}, {}, {}, {}, false});
  };
  if ((match->flags & IPRANGE_SRC) != 0)
    add(Kind::kSource, match->src_min, match->src_max, (match->flags & IPRANGE_SRC_INV) != 0);
  if ((match->flags & IPRANGE_DST) != 0)
    add(Kind::kDestination, match->dst_min, match->dst_max, (match->flags & IPRANGE_DST_INV) != 0);
  return true;
}

bool Ipset(std::uint32_t revision, Bytes info, Rule& rule) {
  const auto match = ReadXt<xt_set_info_match_v1>(info);
  if (revision < 1 || revision > 4 || !match) return false;
  const xt_set_info& set = match->match_set;
  // The direction bit of IPSET_DIM_ONE: source if set. Sets of more dimensions use more packet fields.
  const bool source = (set.flags & 2) != 0;
  rule.conditions.push_back({source ? Kind::kSource : Kind::kDestination,
                             (set.flags & IPSET_INV_MATCH) != 0,
                             {},
                             {},
                             {},
                             UnnamedIpset(set.index),
                             true});
  const auto newest = ReadXt<xt_set_info_match_v4>(info);
  const bool counters = revision == 4 && newest && (newest->packets.op != 0 || newest->bytes.op != 0);
  const bool understood = set.dim == 1 && !counters && revision != 3;
  const std::uint32_t flags = newest ? newest->flags : 0;
  const bool updates = (flags & (IPSET_FLAG_SKIP_COUNTER_UPDATE | IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE)) == 0;
  if (understood && source && revision == 4 && newest && updates && (set.flags & IPSET_INV_MATCH) == 0) {
    rule.counting_set = UnnamedIpset(set.index);
    rule.counting_ipset = true;
  }
  return understood;
}

bool DecodeMatch(std::string_view name, std::uint32_t revision, Bytes info, std::optional<Family> family, Rule& rule) {
  if (name == "tcp") return Tcp(info, rule);
  if (name == "udp" || name == "udplite") return Udp(info, rule);
  if (name == "icmp" || name == "icmp6") return Icmp(info, rule);
  if (name == "multiport") return Multiport(revision, info, rule);
  if (name == "state") return State(info, rule);
  if (name == "conntrack") return Conntrack(revision, info, rule);
  if (name == "iprange") return IpRange(revision, info, family, rule);
  if (name == "set") return Ipset(revision, info, rule);
  if (name == "connlimit") return DecodeXtConnlimit(revision, info, family, rule);
  if (name == "limit") return DecodeXtLimit(info, rule);
  if (name == "hashlimit") return DecodeXtHashlimit(revision, info, rule);
  if (name == "addrtype") return AddressType(revision, info, rule);
  if (name == "mark") return Mark(revision, info, rule);
  if (name == "pkttype") return PacketType(info, rule);
  if (name == "rpfilter") return ReversePath(info, rule);
  if (name == "comment") {
    if (const auto comment = ReadXt<xt_comment_info>(info)) rule.comment = XtText(comment->comment);
    return true;
  }
  return false;
}

}  // namespace

void DecodeXtMatch(std::string_view name, std::uint32_t revision, Bytes info, std::optional<Family> family,
                   Rule& rule) {
  if (name != "comment") rule.counting_set.clear();
  if (!DecodeMatch(name, revision, info, family, rule)) NotUnderstood(rule, name);
}

void NotUnderstood(Rule& rule, std::string_view what) {
  rule.fully_understood = false;
  constexpr std::size_t kBytesMax = 200;
  if (rule.not_understood.size() > kBytesMax) return;
  rule.not_understood.append(rule.not_understood.empty() ? "" : ", ").append(what);
}

std::string UnnamedIpset(std::uint16_t index) { return "#" + std::to_string(index); }

std::optional<std::uint16_t> IndexOfUnnamedIpset(const std::string& set) {
  if (set.size() < 2 || set.size() > 6 || set[0] != '#') return std::nullopt;
  std::uint32_t index = 0;
  for (const char digit : set.substr(1)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    index = index * 10 + static_cast<std::uint32_t>(digit - '0');
  }
  if (index > 0xffff) return std::nullopt;
  return static_cast<std::uint16_t>(index);
}

std::optional<AddressRange> MaskedRange(const IpAddress& address, const IpAddress& mask) {
  const std::size_t width = AddressBits(address.family) / 8;
  AddressRange range{address, address};
  bool ended = false;
  for (std::size_t i = 0; i < width; ++i) {
    for (int bit = 7; bit >= 0; --bit) {
      const bool one = (mask.bytes[i] >> bit & 1) != 0;
      if (one && ended) return std::nullopt;
      ended = ended || !one;
    }
    range.first.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] & mask.bytes[i]);
    range.last.bytes[i] = static_cast<std::uint8_t>(range.first.bytes[i] | (~mask.bytes[i] & 0xff));
  }
  return range;
}

}  // namespace conntally
