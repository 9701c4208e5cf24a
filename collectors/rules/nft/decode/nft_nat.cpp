#include "collectors/rules/nft/decode/nft_nat.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

namespace conntally {

NatTarget DecodeNftNat(std::string_view name, const NftAttributes& a, const NftRegisterValue& value_of) {
  using Octets = std::vector<std::byte>;
  NatTarget target;
  const auto constant = [&](int type) -> Octets {
    Octets value = a.has(type) ? value_of(a.number(type)) : Octets{};
    target.known = target.known && (!value.empty() || !a.has(type));
    return value;
  };
  const auto ports = [&](int first, int last) {
    const Octets from = constant(first), to = a.has(last) ? constant(last) : from;
    if (from.size() >= 2 && to.size() >= 2)
      target.ports = NumberRange{NumberOf(Bytes(from).first(2), true), NumberOf(Bytes(to).first(2), true)};
  };
  if (name == "masq") {
    target.kind = NatTarget::Kind::kMasquerade;
    ports(NFTA_MASQ_REG_PROTO_MIN, NFTA_MASQ_REG_PROTO_MAX);
  } else if (name == "redir") {
    target.kind = NatTarget::Kind::kRedirect;
    ports(NFTA_REDIR_REG_PROTO_MIN, NFTA_REDIR_REG_PROTO_MAX);
  } else {
    target.kind = a.number(NFTA_NAT_TYPE) == NFT_NAT_DNAT ? NatTarget::Kind::kDestination : NatTarget::Kind::kSource;
    const Family family = a.number(NFTA_NAT_FAMILY) == NFPROTO_IPV6 ? Family::kIpv6 : Family::kIpv4;
    const Octets from = constant(NFTA_NAT_REG_ADDR_MIN),
                 to = a.has(NFTA_NAT_REG_ADDR_MAX) ? constant(NFTA_NAT_REG_ADDR_MAX) : from;
    if (!from.empty() && !to.empty()) target.addresses = AddressRange{AddressOf(from, family), AddressOf(to, family)};
    ports(NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX);
  }
  return target;
}

}  // namespace conntally
