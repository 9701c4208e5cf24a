// Reads ipsets: the names of those that rules refer to, and the addresses in them with their counters. Only requests
// that list.
//
// Threads: one owner, which has entered the network namespace to be read. The decoder is pure.
//
// Sources: linux/netfilter/ipset/ip_set.h; net/netfilter/ipset/ip_set_core.c (ip_set_sockfn_get, ip_set_dump_do).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/address_set.h"
#include "collectors/rules/ruleset.h"
#include "collectors/system/result.h"

namespace conntally {

// One message of a listing. Sets whose elements are more than an address (or a prefix) have none here and are not
// `complete`.
std::optional<AddressSet> DecodeIpset(Bytes message);

// Puts names in the place of indexes in the conditions of the rules. True when there is an ipset in any of them.
bool NameIpsets(Ruleset& ruleset);

// All of them; elements beyond `elements_max` are left out, and their sets not `complete`.
Result<std::vector<AddressSet>> ReadIpsets(std::size_t elements_max);

}  // namespace conntally
