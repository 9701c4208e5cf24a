#include "collectors/rules/nft/decode/nft_rule_steps.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <optional>

#include "collectors/rules/nft/decode/nft_condition.h"
#include "collectors/rules/nft/decode/nft_field.h"
#include "collectors/rules/nft/decode/nft_limits.h"

namespace conntally {

void NftRuleSteps::Lookup(const NftAttributes& a) {
  const std::uint32_t from = a.number(NFTA_LOOKUP_SREG);
  const NftField* field = At(from);
  const std::string name(a.text(NFTA_LOOKUP_SET));
  const auto found = sets_.find({message_.family, std::string(message_.table), name});
  const NftSetContent* content = found != sets_.end() ? &found->second : nullptr;
  const bool map = a.has(NFTA_LOOKUP_DREG);
  if (map && NftRegisterSlot(a.number(NFTA_LOOKUP_DREG)) == kNftVerdictSlot) return VerdictMap(from, content);
  if (map) return ValueMap(from, a.number(NFTA_LOOKUP_DREG), content);
  const bool negated = (a.number(NFTA_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0;
  if (content == nullptr || field == nullptr) return NotUnderstood("set " + name);
  const std::vector<NftField> fields = FieldsOfKey(from, content->key_bytes);
  if ((content->anonymous || content->elements_stand) && content->complete && !fields.empty()) {
    if (fields.size() == 1) return AddRanges(fields[0], content->elements, negated);
    return AddTuples(fields, content->elements, negated);
  }
  const bool whole = fields.size() == 1 && !content->anonymous;
  const bool address = whole && (*fields[0].kind == Kind::kSource || *fields[0].kind == Kind::kDestination);
  if (!address) NotUnderstood("set " + name);
  if (whole && *fields[0].kind == Kind::kSource && !negated) Counts(name);
  if (whole) Add({*fields[0].kind, negated, {}, {}, {}, name, false});
}

std::vector<NftField> NftRuleSteps::FieldsOfKey(std::uint32_t number, std::size_t key_bytes) const {
  std::vector<NftField> fields;
  std::size_t slot = NftRegisterSlot(number);
  for (std::size_t bytes = 0; bytes < key_bytes;) {
    if (slot >= registers_.size()) return {};
    const NftField& field = registers_[slot];
    if (!field.kind || !field.mask.empty() || field.width == 0 || field.loaded != field.width) return {};
    fields.push_back(field);
    const std::size_t slots = (field.width + kSlotBytes - 1) / kSlotBytes;
    slot += slots;
    // A single field has its own length; in a concatenation each field fills whole registers.
    bytes += bytes == 0 && field.width == key_bytes ? field.width : slots * kSlotBytes;
    if (bytes > key_bytes) return {};
  }
  return fields;
}

std::vector<RuleCondition> NftRuleSteps::ConditionsOf(const std::vector<NftField>& fields,
                                                      const NftSetContent::Element& element) {
  if (fields.size() == 1) return {RangesCondition(fields[0], {element}, false, rule_)};
  std::vector<RuleCondition> conditions;
  std::size_t at = 0;
  for (const NftField& field : fields) {
    if (at + field.width > element.first.size()) return {};
    const auto part = [&](const Octets& octets) {
      const auto begin = octets.begin() + static_cast<std::ptrdiff_t>(at);
      return Octets(begin, begin + static_cast<std::ptrdiff_t>(field.width));
    };
    conditions.push_back(RangesCondition(field, {{part(element.first), part(element.last), {}, {}}}, false, rule_));
    at += (field.width + kSlotBytes - 1) / kSlotBytes * kSlotBytes;
  }
  return conditions;
}

void NftRuleSteps::AddRanges(const NftField& field, const std::vector<NftSetContent::Element>& elements, bool negated) {
  Add(RangesCondition(field, elements, negated, rule_));
}

void NftRuleSteps::AddTuples(const std::vector<NftField>& fields, const std::vector<NftSetContent::Element>& elements,
                             bool negated) {
  RuleCondition condition{Kind::kTuple, negated, {}, {}, {}, {}, false};
  for (const NftSetContent::Element& element : elements)
    condition.alternatives.push_back(ConditionsOf(fields, element));
  Add(std::move(condition));
}

void NftRuleSteps::VerdictMap(std::uint32_t from, const NftSetContent* content) {
  rule_.verdict = Verdict::kMap;
  maps_ = true;
  if (content == nullptr) return;
  const std::vector<NftField> fields = FieldsOfKey(from, content->key_bytes);
  const NftField* field = fields.size() == 1 ? &fields[0] : nullptr;
  map_known_ = !fields.empty() && content->complete;
  if (field != nullptr) rule_.map_key = field->kind;
  std::optional<Verdict> only;
  bool mixed = content->elements.empty() || !content->complete;
  for (const NftSetContent::Element& element : content->elements) {
    MappedVerdict mapped;
    mapped.verdict = element.verdict;
    mapped.jump_target = element.jump_target;
    mapped.may_be_gone = content->elements_change;
    if (!fields.empty()) mapped.key = ConditionsOf(fields, element);
    if (field != nullptr && (*field->kind == Kind::kSource || *field->kind == Kind::kDestination)) {
      mapped.addresses = AddressRange{AddressOf(element.first, field->family), AddressOf(element.last, field->family)};
    } else if (field != nullptr && (*field->kind == Kind::kInInterface || *field->kind == Kind::kOutInterface)) {
      mapped.interface = std::string(AttributeText(element.first)) + (element.first != element.last ? "*" : "");
    } else if (field != nullptr && field->width <= 4) {
      mapped.numbers =
          NumberRange{NumberOf(element.first, field->network_order), NumberOf(element.last, field->network_order)};
    }
    rule_.map.push_back(std::move(mapped));
    mixed = mixed || (only && *only != element.verdict);
    only = element.verdict;
  }
  if (!mixed && (*only == Verdict::kDrop || *only == Verdict::kAccept)) rule_.verdict = *only;
}

void NftRuleSteps::ValueMap(std::uint32_t from, std::uint32_t to, const NftSetContent* content) {
  value_maps_undecided_ = true;
  looked_up_ = content != nullptr && content->complete && !content->elements_change ? content : nullptr;
  looked_up_key_ = content != nullptr ? FieldsOfKey(from, content->key_bytes) : std::vector<NftField>{};
  looked_up_slot_ = NftRegisterSlot(to);
  std::size_t bytes = kSlotBytes;
  if (content != nullptr && !content->elements.empty()) bytes = std::max(bytes, content->elements.front().value.size());
  for (std::size_t at = 0; at < bytes && looked_up_slot_ + at / kSlotBytes < registers_.size(); at += kSlotBytes) {
    NftField& field = registers_[looked_up_slot_ + at / kSlotBytes];
    field = {};
    field.what = step_;
    field.looked_up = true;
  }
}

void NftRuleSteps::DynamicSet(const NftAttributes& a) {
  const std::string name(a.text(NFTA_DYNSET_SET_NAME));
  const NftField* field = At(a.number(NFTA_DYNSET_SREG_KEY));
  SetUpdate update{name, false, false};
  RuleLimit::Per per = RuleLimit::Per::kOther;
  std::uint8_t prefix = 0;
  if (field != nullptr && field->kind && field->loaded == field->width) {
    const auto bits =
        field->mask.empty() ? std::optional<unsigned>(AddressBits(field->family)) : LeadingBits(field->mask);
    const auto set = sets_.find({message_.family, std::string(message_.table), name});
    const bool alone = set == sets_.end() || set->second.key_bytes == field->width;  // not one part of a concatenation
    if (bits && alone) {
      update.by_source = *field->kind == Kind::kSource;
      update.by_destination = *field->kind == Kind::kDestination;
      prefix = static_cast<std::uint8_t>(*bits);
    }
    if (update.by_source && bits == AddressBits(field->family) && a.number(NFTA_DYNSET_OP) != NFT_DYNSET_OP_DELETE)
      Counts(name);
    if (update.by_source) per = RuleLimit::Per::kSource;
    if (update.by_destination) per = RuleLimit::Per::kDestination;
  }
  const auto expression = [&](Bytes nest) {
    const auto decoded = DecodeNftExpression(nest);
    if (!decoded || decoded->name != "counter") rule_.counting_set.clear();
    if (!decoded || (decoded->name != "connlimit" && decoded->name != "limit")) return;
    const NftAttributes inner(decoded->data);
    RuleLimit limit = decoded->name == "limit" ? NftRateLimit(inner, per) : NftConnectionLimit(inner, per);
    limit.set = name;
    if (prefix != 0) (field->family == Family::kIpv4 ? limit.ipv4_prefix : limit.ipv6_prefix) = prefix;
    rule_.limits.push_back(std::move(limit));
  };
  if (a.has(NFTA_DYNSET_EXPR)) expression(a.bytes(NFTA_DYNSET_EXPR));
  AttributeWalk walk(a.bytes(NFTA_DYNSET_EXPRESSIONS));
  for (Attribute item; !a.has(NFTA_DYNSET_EXPR) && walk.Next(item);) expression(item.payload);
  rule_.set_updates.push_back(std::move(update));
}

void NftRuleSteps::Counts(const std::string& set) {
  rule_.counting_set = set;
  rule_.counting_ipset = false;
}

}  // namespace conntally
