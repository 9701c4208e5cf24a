// One nftables rule on its way through the decoder, expression by expression: what each register holds, and what is
// known of the rule so far. For the files that implement DecodeRule (nft_rule_decoder.h). One thread.
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
  // Both outlive it.
  NftRuleSteps(const NftRule& message, const NftSetContents& sets);
  // Once.
  Rule Decode();

 private:
  using Kind = RuleCondition::Kind;
  using Octets = std::vector<std::byte>;

  static constexpr std::size_t kSlotBytes = 4;  // of a register

  void NotUnderstood(std::string_view what);
  void NotUnderstood() { NotUnderstood(step_); }

  void Step(const NftExpression& expression);

  // Registers: what is loaded, made, and compared. null: there is none of this number.
  NftField* At(std::uint32_t number);
  void Load(std::uint32_t number, NftField field);
  void Bitwise(const NftAttributes& a);
  void Compare(const NftAttributes& a);
  void Equal(const NftField& field, Bytes value, bool negated);
  void Range(const NftAttributes& a);
  // What later loads mean depends on what was asked before them.
  void Add(RuleCondition condition);

  // No condition, but what later rules see.
  void SetMeta(const NftAttributes& a);

  // What becomes of the packet.
  void Immediate(const NftAttributes& a);
  void Reject(const NftAttributes& a);
  void Log(const NftAttributes& a);
  void Nat(std::string_view name, const NftAttributes& a);
  void ObjectReference(const NftAttributes& a);

  // Sets and maps (nft_rule_sets.cpp).
  void Lookup(const NftAttributes& a);
  void VerdictMap(std::uint32_t from, const NftSetContent* content);
  // A map of values: what it gives is known only where all of its elements are.
  void ValueMap(std::uint32_t from, std::uint32_t to, const NftSetContent* content);
  void DynamicSet(const NftAttributes& a);
  // The fields of the packet that are the key of `key_bytes` which begins in this register; none when one of them is
  // not known.
  std::vector<NftField> FieldsOfKey(std::uint32_t number, std::size_t key_bytes) const;
  // One element of a set or map as what a packet must be; nothing when a field of it has none of the forms that are
  // known.
  std::vector<RuleCondition> ConditionsOf(const std::vector<NftField>& fields, const NftSetContent::Element& element);
  void AddRanges(const NftField& field, const std::vector<NftSetContent::Element>& elements, bool negated);
  void AddTuples(const std::vector<NftField>& fields, const std::vector<NftSetContent::Element>& elements,
                 bool negated);
  void Counts(const std::string& set);

  const NftRule& message_;
  const NftSetContents& sets_;
  Rule rule_;
  std::array<NftField, 16> registers_;
  std::string_view step_;   // the expression that is being decoded
  bool maps_ = false;       // a verdict map ends the rule
  bool map_known_ = false;  // and all of its keys are known
  NftHeaders headers_;
  bool value_maps_undecided_ = false;         // what they give is not known, or nobody says for which packets
  const NftSetContent* looked_up_ = nullptr;  // the last map of values; null: not known
  std::size_t looked_up_slot_ = 0;            // where what it gave begins
  std::vector<NftField> looked_up_key_;       // empty: not known
};

}  // namespace conntally
