#include "collectors/rules/iptables/xt_nat.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter/nf_nat.h>

#include "collectors/rules/iptables/xt_bytes.h"

namespace conntally {
namespace {

using NatKind = NatTarget::Kind;

// The common part of struct nf_nat_ipv4_range (in a list of one) and struct nf_nat_range.
struct Range {
  std::uint32_t flags = 0;
  IpAddress first, last;
  std::uint16_t first_port = 0, last_port = 0;
};

// xt_nat.c: revision 0 is only for IPv4, later ones are for both families. MASQUERADE and REDIRECT use the old
// structure for IPv4 and the new one for IPv6.
std::optional<Range> ReadRange(std::uint32_t revision, Bytes info, RuleFamily family) {
  if (revision == 0 && family == RuleFamily::kIp) {
    const auto old = ReadXt<nf_nat_ipv4_multi_range_compat>(info);
    if (!old || old->rangesize != 1) return std::nullopt;
    const nf_nat_ipv4_range& range = old->range[0];
    return Range{range.flags, XtAddress(&range.min_ip, Family::kIpv4), XtAddress(&range.max_ip, Family::kIpv4),
                 ntohs(range.min.all), ntohs(range.max.all)};
  }
  const auto range = ReadXt<nf_nat_range>(info);
  if (!range || revision > 2) return std::nullopt;
  const Family of = family == RuleFamily::kIp6 ? Family::kIpv6 : Family::kIpv4;
  return Range{range->flags, XtAddress(&range->min_addr, of), XtAddress(&range->max_addr, of),
               ntohs(range->min_proto.all), ntohs(range->max_proto.all)};
}

}  // namespace

NatTarget DecodeXtNat(std::string_view name, std::uint32_t revision, Bytes info, RuleFamily family) {
  NatTarget target;
  target.kind = name == "DNAT"         ? NatKind::kDestination
                : name == "SNAT"       ? NatKind::kSource
                : name == "MASQUERADE" ? NatKind::kMasquerade
                : name == "REDIRECT"   ? NatKind::kRedirect
                                       : NatKind::kOther;
  const auto range = ReadRange(revision, info, family);
  target.known = target.kind != NatKind::kOther && range && (range->flags & NF_NAT_RANGE_PROTO_OFFSET) == 0;
  if (!target.known) return target;
  if ((range->flags & NF_NAT_RANGE_MAP_IPS) != 0) target.addresses = AddressRange{range->first, range->last};
  if ((range->flags & NF_NAT_RANGE_PROTO_SPECIFIED) != 0)
    target.ports = NumberRange{range->first_port, range->last_port};
  return target;
}

}  // namespace conntally
