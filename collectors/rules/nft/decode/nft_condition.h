// Turns comparisons of a register's field with constants into conditions of a rule. Pure; any thread.
//
// Source: net/netfilter/nft_cmp.c, nft_range.c, nft_lookup.c; nft's use of masks for flags and states.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "collectors/rules/nft/decode/nft_field.h"
#include "collectors/rules/nft/messages/nft_set_content.h"
#include "collectors/rules/rule.h"

namespace conntally {

// For a field of known kind. nullopt: not understood. All note in the rule what else is not understood.
std::optional<RuleCondition> EqualCondition(const NftField& field, Bytes value, bool negated, Rule& rule);
// Less or greater, by `operation` (NFT_CMP_LT, _LTE, _GT, _GTE). nullopt: the field has no order, or nothing satisfies
// it.
std::optional<RuleCondition> OrderCondition(const NftField& field, Bytes value, std::uint32_t operation, Rule& rule);
// A match with any of the ranges.
RuleCondition RangesCondition(const NftField& field, const std::vector<NftSetContent::Element>& elements, bool negated,
                              Rule& rule);

}  // namespace conntally
