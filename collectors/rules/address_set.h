// Sets of addresses that rules look packets up in: those of nftables, and ipsets. Plain values; any thread.
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
  RuleFamily family = RuleFamily::kIp;  // nftables: with `table`, whose set it is
  std::string table;
  std::string name;
  Family address_family = Family::kIpv4;
  bool dynamic = false;  // filled by rules
  bool complete = true;  // false: more elements than are read, or some not understood
  bool expires = false;  // elements may leave by themselves
  bool of_sets = false;  // an ipset of ipsets (list:set), whose look-ups count in those as well
  std::vector<SetElement> elements;
};

}  // namespace conntally
