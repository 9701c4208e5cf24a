// The decoder's state for one nftables rule, expression by expression: the registers, and what is known of the rule so
// far. For the files that implement DecodeRule (nft_rule_decoder.h). One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/rules/nft/decode/nft_field.h"
#include "collectors/rules/nft/messages/nft_messages.h"
#include "collectors/rules/nft/messages/nft_set_content.h"
#include "collectors/rules/rule.h"
#include "collectors/rules/rule_condition.h"

namespace conntally {

class NftRuleSteps {
 public:
  // Both must outlive this object.
  NftRuleSteps(const NftRule& message, const NftSetContents& sets);
  // Call it once.
  Rule Decode();

 private:
  using Kind = RuleCondition::Kind;
  using Octets = std::vector<std::byte>;

  static constexpr std::size_t kSlotBytes = 4;  // per register slot

  void NotUnderstood(std::string_view what);
  void NotUnderstood() { NotUnderstood(step_); }

  void Step(const NftExpression& expression);

  // Registers: loads, computations and comparisons. null: no register has this number.
  NftField* At(std::uint32_t number);
  void Load(std::uint32_t number, NftField field);
  void Bitwise(const NftAttributes& a);
  void Compare(const NftAttributes& a);
  void Equal(const NftField& field, Bytes value, bool negated);
  void Range(const NftAttributes& a);
  // Adds a condition, on which the meaning of later loads may depend.
  void Add(RuleCondition condition);

  // Not a condition: changes what later rules see.
  void SetMeta(const NftAttributes& a);

  // What happens to the packet.
  void Immediate(const NftAttributes& a);
  void Reject(const NftAttributes& a);
  void Log(const NftAttributes& a);
  void Nat(std::string_view name, const NftAttributes& a);
  void ObjectReference(const NftAttributes& a);

  // Sets and maps (nft_rule_sets.cpp).
  void Lookup(const NftAttributes& a);
  void VerdictMap(std::uint32_t from, const NftSetContent* content);
  // A map of values: its result is known only if all its elements are.
  void ValueMap(std::uint32_t from, std::uint32_t to, const NftSetContent* content);
  void DynamicSet(const NftAttributes& a);
  // The packet fields in the key of `key_bytes` that begins in this register; empty if one is unknown.
  std::vector<NftField> FieldsOfKey(std::uint32_t number, std::size_t key_bytes) const;
  // The conditions for one element of a set or map; empty if one of its fields has an unknown form.
  std::vector<RuleCondition> ConditionsOf(const std::vector<NftField>& fields, const NftSetContent::Element& element);
  void AddRanges(const NftField& field, const std::vector<NftSetContent::Element>& elements, bool negated);
  void AddTuples(const std::vector<NftField>& fields, const std::vector<NftSetContent::Element>& elements,
                 bool negated);
  void Counts(const std::string& set);

  const NftRule& message_;
  const NftSetContents& sets_;
  Rule rule_;
  std::array<NftField, 16> registers_;
  std::string_view step_;   // the expression being decoded
  bool maps_ = false;       // a verdict map ends the rule
  bool map_known_ = false;  // and all its keys are known
  NftHeaders headers_;
  bool value_maps_undecided_ = false;         // their results are unknown, or for which packets
  const NftSetContent* looked_up_ = nullptr;  // the last map of values; null: unknown
  std::size_t looked_up_slot_ = 0;            // first slot of its result
  std::vector<NftField> looked_up_key_;       // empty: unknown
};

}  // namespace conntally
