// Sets of addresses that rules use: nftables sets and ipsets. Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/addresses/ranges.h"
#include "collectors/rules/rule_words.h"

namespace conntally {

struct SetElement {
  AddressRange addresses;
  std::optional<RuleCounter> counter;
  bool no_match = false;  // ipset `nomatch`: an exception
};

// A named set of addresses: a blocklist, or a dynamic set that rules fill.
struct AddressSet {
  bool ipset = false;
  RuleFamily family = RuleFamily::kIp;  // nftables: with `table`, the set's place
  std::string table;
  std::string name;
  Family address_family = Family::kIpv4;
  bool dynamic = false;  // filled by rules
  bool complete = true;  // false: some elements were not read, or not understood
  bool expires = false;  // elements may time out
  bool of_sets = false;  // an ipset of ipsets (list:set): a look-up also counts in the member sets
  std::vector<SetElement> elements;
};

}  // namespace conntally
