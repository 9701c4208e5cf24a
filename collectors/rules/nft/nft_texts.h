// Assigns texts to nftables rules. Unknown texts are requested (rule_texts.h), table by table.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "collectors/rules/address_set.h"
#include "collectors/rules/nft/decode/nft_rule_decoder.h"
#include "collectors/rules/ruleset.h"

namespace conntally {

// Everything that a rule's text depends on, as bytes: its place, its expressions without counters, the elements of its
// anonymous sets.
std::string TextKey(const NftRule& rule, const NftSetContents& sets);

// Fills in the texts of all rules. `keys` are the rules' keys, by index; `known` has the texts of earlier keys. If a
// text cannot be read, the rule gets a text that says so and is stable as long as the rule is.
void AssignNftTexts(Ruleset& ruleset, const std::vector<std::string>& keys,
                    const std::unordered_map<std::string, std::string>& known);

// A set's elements as addresses, with their counters.
std::vector<SetElement> AddressesOf(const std::vector<NftElement>& elements, bool intervals, Family family);

}  // namespace conntally
