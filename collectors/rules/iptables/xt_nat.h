// Decodes how iptables' NAT targets translate addresses and ports, from the kernel's structures. Pure; any thread.
//
// Sources: linux/netfilter/nf_nat.h; net/netfilter/xt_nat.c, xt_MASQUERADE.c, xt_REDIRECT.c, xt_NETMAP.c.
#pragma once

#include <cstdint>
#include <string_view>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/rule.h"

namespace conntally {

// `name` is DNAT, SNAT, MASQUERADE or REDIRECT; any other gives kOther.
NatTarget DecodeXtNat(std::string_view name, std::uint32_t revision, Bytes info, RuleFamily family);

}  // namespace conntally
