// Which text belongs to which nftables rule. Texts that are not known are asked for (rule_texts.h), table by table.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "collectors/rules/address_set.h"
#include "collectors/rules/nft/decode/nft_rule_decoder.h"
#include "collectors/rules/ruleset.h"

namespace conntally {

// All that a rule's text depends on, as bytes: its place, its expressions without counters, the elements of its
// anonymous sets.
std::string TextKey(const NftRule& rule, const NftSetContents& sets);

// Fills in the texts of all rules. `keys` are those of the rules, by index; `known` the texts of keys met before. Rules
// whose text cannot be had get one that says so and is the same as long as the rule is.
void AssignNftTexts(Ruleset& ruleset, const std::vector<std::string>& keys,
                    const std::unordered_map<std::string, std::string>& known);

// A set's elements as addresses, with their counters.
std::vector<SetElement> AddressesOf(const std::vector<NftElement>& elements, bool intervals, Family family);

}  // namespace conntally
