// Decodes the matches and targets of iptables from the kernel's structures: in legacy tables, and in the `match` and
// `target` expressions of iptables-nft. An unknown match leaves Rule::fully_understood false. Pure; any thread.
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

// Notes that `what`, a text for people, in the rule is not understood.
void NotUnderstood(Rule& rule, std::string_view what);

// All targets except the standard one, whose verdict is decoded elsewhere.
void DecodeXtTarget(std::string_view name, std::uint32_t revision, Bytes info, Rule& rule);

// Rules refer to an ipset by index; only the kernel knows its name. Until it is resolved, a condition's set is
// "#INDEX".
std::string UnnamedIpset(std::uint16_t index);
std::optional<std::uint16_t> IndexOfUnnamedIpset(const std::string& set);

// `address` under `mask`, as a range; nullopt if the mask is not contiguous. A mask without bits gives the range of all
// addresses.
std::optional<AddressRange> MaskedRange(const IpAddress& address, const IpAddress& mask);

}  // namespace conntally
