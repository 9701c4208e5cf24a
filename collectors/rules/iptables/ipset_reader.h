// Reads ipsets: the names of those that rules use, and their addresses and counters. Sends only list requests.
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

// Decodes one message of a listing. A set whose elements are more than an address or prefix gets no elements and is not
// `complete`.
std::optional<AddressSet> DecodeIpset(Bytes message);

// Replaces indexes by names in the rules' conditions. True if any of them uses an ipset.
bool NameIpsets(Ruleset& ruleset);

// All ipsets; elements beyond `elements_max` are omitted, and their sets are not `complete`.
Result<std::vector<AddressSet>> ReadIpsets(std::size_t elements_max);

}  // namespace conntally
