// What the matches and targets of iptables ask and do, from the kernel's own structures: those of the legacy tables,
// and those that iptables-nft wraps into nftables' `match` and `target` expressions. A match that is not known leaves
// Rule::fully_understood false. Pure; any thread.
//
// Sources: linux/netfilter/xt_*.h, linux/netfilter_ipv4/ipt_*.h; meanings: net/netfilter/xt_*.c.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/rule.h"

namespace conntally {

// `info` is the match's structure, padded or not; `family` the rule's, if known.
void DecodeXtMatch(std::string_view name, std::uint32_t revision, Bytes info, std::optional<Family> family, Rule& rule);

// Something in the rule is beyond what is decoded: `what`, for people.
void NotUnderstood(Rule& rule, std::string_view what);

// All targets but the standard one, whose verdict stands elsewhere.
void DecodeXtTarget(std::string_view name, std::uint32_t revision, Bytes info, Rule& rule);

// An ipset stands in rules as its index, which only the kernel can name: until then a condition's set is "#INDEX".
std::string UnnamedIpset(std::uint16_t index);
std::optional<std::uint16_t> IndexOfUnnamedIpset(const std::string& set);

// `address` within `mask`, as a condition: nullopt when the mask is not contiguous. A mask of zero bits is no
// condition, and its range is everything.
std::optional<AddressRange> MaskedRange(const IpAddress& address, const IpAddress& mask);

}  // namespace conntally
