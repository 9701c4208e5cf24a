#include "collectors/rules/nft/decode/nft_rule_decoder.h"

#include <netinet/in.h>
// After it: these clash with it otherwise.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "collectors/rules/iptables/xt_decoder.h"
#include "collectors/rules/nft/decode/nft_condition.h"
#include "collectors/rules/nft/decode/nft_field.h"
#include "collectors/rules/nft/decode/nft_limits.h"
#include "collectors/rules/nft/decode/nft_nat.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;
using Octets = std::vector<std::byte>;

constexpr std::size_t kSlotBytes = 4;  // of a register

class RuleDecoder {
 public:
  RuleDecoder(const NftRule& message, const NftSetContents& sets) : message_(message), sets_(sets) {
    if (message.family == RuleFamily::kIp) headers_.layer3 = Family::kIpv4;
    if (message.family == RuleFamily::kIp6) headers_.layer3 = Family::kIpv6;
  }

  Rule Decode() {
    rule_.family = message_.family;
    rule_.table = message_.table;
    rule_.chain = message_.chain;
    rule_.handle = message_.handle;
    rule_.comment = CommentOf(message_.userdata);
    rule_.fully_understood = true;
    NftExpressionWalk walk(message_.expressions);
    for (NftExpression expression; walk.Next(expression);) Step(expression);
    if (walk.malformed()) NotUnderstood("a malformed rule");
    if (maps_) {
      rule_.map_understood = map_known_ && rule_.fully_understood;
      rule_.fully_understood = false;  // which packets it takes is in the map
    }
    return std::move(rule_);
  }

 private:
  void NotUnderstood(std::string_view what) { conntally::NotUnderstood(rule_, what); }
  void NotUnderstood() { NotUnderstood(step_); }

  void Step(const NftExpression& expression) {
    const NftAttributes a(expression.data);
    const std::string_view name = expression.name;
    step_ = name;
    // These let every packet go on.
    constexpr std::array<std::string_view, 13> kPassing = {"meta",    "payload", "ct",    "bitwise", "immediate",
                                                           "counter", "objref",  "log",   "reject",  "notrack",
                                                           "last",    "match",   "target"};
    // An xt match sees to it itself, and so do references to objects.
    if (std::find(kPassing.begin(), kPassing.end(), name) == kPassing.end()) rule_.counting_set.clear();
    if (name == "meta") return a.has(NFTA_META_SREG) ? SetMeta(a) : Load(a.number(NFTA_META_DREG), MetaField(a));
    // Both may write instead: into the packet, or into its connection.
    if (name == "payload")
      return a.has(NFTA_PAYLOAD_SREG) ? void() : Load(a.number(NFTA_PAYLOAD_DREG), PayloadField(a, headers_));
    if (name == "ct") return a.has(NFTA_CT_SREG) ? void() : Load(a.number(NFTA_CT_DREG), ConntrackField(a));
    if (name == "bitwise") return Bitwise(a);
    if (name == "cmp") return Compare(a);
    if (name == "range") return Range(a);
    if (name == "lookup") return Lookup(a);
    if (name == "immediate") return Immediate(a);
    if (name == "counter") return void(rule_.has_counter = true);
    if (name == "objref") return ObjectReference(a);
    if (name == "dynset") return DynamicSet(a);
    if (name == "limit") return rule_.limits.push_back(NftRateLimit(a, RuleLimit::Per::kEverything));
    if (name == "connlimit") return rule_.limits.push_back(NftConnectionLimit(a, RuleLimit::Per::kEverything));
    if (name == "log") return Log(a);
    if (name == "fib") return Load(a.number(NFTA_FIB_DREG), RoutingField(a));
    if (name == "reject") return Reject(a);
    if (name == "queue") return NftQueue(a, rule_);
    if (name == "synproxy" || name == "fwd") return void(rule_.takes_over = true);
    if (name == "nat" || name == "masq" || name == "redir") return Nat(name, a);
    if (name == "match")
      return DecodeXtMatch(a.text(NFTA_MATCH_NAME), a.number(NFTA_MATCH_REV), a.bytes(NFTA_MATCH_INFO), headers_.layer3,
                           rule_);
    if (name == "target")
      return DecodeXtTarget(a.text(NFTA_TARGET_NAME), a.number(NFTA_TARGET_REV), a.bytes(NFTA_TARGET_INFO), rule_);
    if (name == "notrack") rule_.untracks = true;
    if (name == "notrack" || name == "last" || name == "dup") return;
    if (name == "tproxy") rule_.verdict = Verdict::kOther;  // and to where it sends the packet
    NotUnderstood();
    registers_ = {};  // whichever it wrote: none is trusted any more
  }

  NftField* At(std::uint32_t number) {
    const std::size_t slot = NftRegisterSlot(number);
    return slot < registers_.size() ? &registers_[slot] : nullptr;
  }
  void Load(std::uint32_t number, NftField field) {
    NftField* slot = At(number);
    if (slot == nullptr) return NotUnderstood();
    if (field.what.empty()) field.what = step_;
    *slot = std::move(field);
  }

  // No condition, but what later rules see.
  void SetMeta(const NftAttributes& a) {
    if (a.number(NFTA_META_KEY) == NFT_META_NFTRACE) rule_.traces = true;
    if (a.number(NFTA_META_KEY) != NFT_META_MARK) return;
    const NftField* from = At(a.number(NFTA_META_SREG));
    const bool constant = from != nullptr && from->value.size() == 4;
    rule_.mark = constant ? MarkChange{true, 0, NumberOf(from->value, false)} : MarkChange{};
  }

  void Reject(const NftAttributes& a) {
    rule_.verdict = Verdict::kReject;
    rule_.tcp_reset = a.number(NFTA_REJECT_TYPE) == NFT_REJECT_TCP_RST;
  }

  void Nat(std::string_view name, const NftAttributes& a) {
    rule_.verdict = Verdict::kNat;
    const auto constant = [&](std::uint32_t number) {
      const NftField* field = At(number);
      return field != nullptr ? field->value : Octets{};
    };
    rule_.nat = DecodeNftNat(name, a, constant);
    if (rule_.nat->known || looked_up_ == nullptr) return;
    for (const NftSetContent::Element& element : looked_up_->elements) {
      const NatTarget given = DecodeNftNat(name, a, [&](std::uint32_t number) -> Octets {
        const NftField* field = At(number);
        if (field == nullptr || !field->looked_up) return constant(number);
        const std::size_t at = (NftRegisterSlot(number) - looked_up_slot_) * kSlotBytes;
        if (at >= element.value.size()) return {};
        return {element.value.begin() + static_cast<std::ptrdiff_t>(at), element.value.end()};
      });
      if (!given.known) return rule_.nat->choices.clear();
      const bool key_known = !looked_up_key_.empty();
      rule_.nat->choices.push_back({key_known ? ConditionsOf(looked_up_key_, element) : std::vector<RuleCondition>{},
                                    given.addresses, given.ports});
    }
  }

  // A map of values: what it gives is known only where all of its elements are.
  void ValueMap(std::uint32_t from, std::uint32_t to, const NftSetContent* content) {
    NotUnderstood("a map of values");
    looked_up_ = content != nullptr && content->complete && !content->elements_change ? content : nullptr;
    looked_up_key_ = content != nullptr ? FieldsOfKey(from, content->key_bytes) : std::vector<NftField>{};
    looked_up_slot_ = NftRegisterSlot(to);
    std::size_t bytes = kSlotBytes;
    if (content != nullptr && !content->elements.empty())
      bytes = std::max(bytes, content->elements.front().value.size());
    for (std::size_t at = 0; at < bytes && looked_up_slot_ + at / kSlotBytes < registers_.size(); at += kSlotBytes) {
      NftField& field = registers_[looked_up_slot_ + at / kSlotBytes];
      field = {};
      field.what = step_;
      field.looked_up = true;
    }
  }

  void Bitwise(const NftAttributes& a) {
    const NftField* from = At(a.number(NFTA_BITWISE_SREG));
    if (from == nullptr) return NotUnderstood();
    NftField field = *from;
    const Bytes mask = NftDataValue(a.bytes(NFTA_BITWISE_MASK)), flip = NftDataValue(a.bytes(NFTA_BITWISE_XOR));
    const bool plain = a.number(NFTA_BITWISE_OP) == 0 && field.mask.empty() &&
                       std::all_of(flip.begin(), flip.end(), [](std::byte octet) { return octet == std::byte{0}; });
    if (!plain || mask.empty()) field.kind.reset();
    field.parts.clear();
    field.value.clear();
    field.mask.assign(mask.begin(), mask.end());
    Load(a.number(NFTA_BITWISE_DREG), field);
  }

  void Compare(const NftAttributes& a) {
    const NftField* field = At(a.number(NFTA_CMP_SREG));
    const Bytes value = NftDataValue(a.bytes(NFTA_CMP_DATA));
    const auto operation = a.number(NFTA_CMP_OP);
    if (field != nullptr && !field->parts.empty() && operation == NFT_CMP_EQ && value.size() == field->loaded) {
      std::size_t at = 0;
      for (const NftField& part : field->parts) {
        Equal(part, value.subspan(at, part.width), false);
        at += part.width;
      }
      return;
    }
    if (field != nullptr && !field->kind && !field->what.empty()) return NotUnderstood(field->what);
    if (field == nullptr || !field->kind || value.empty()) return NotUnderstood();
    if (operation == NFT_CMP_EQ || operation == NFT_CMP_NEQ) return Equal(*field, value, operation == NFT_CMP_NEQ);
    auto condition = OrderCondition(*field, value, operation, rule_);
    if (!condition) return NotUnderstood();
    Add(*std::move(condition));
  }

  void Equal(const NftField& field, Bytes value, bool negated) {
    auto condition = EqualCondition(field, value, negated, rule_);
    if (!condition) return NotUnderstood();
    Add(*std::move(condition));
  }

  void Range(const NftAttributes& a) {
    const NftField* field = At(a.number(NFTA_RANGE_SREG));
    const Bytes from = NftDataValue(a.bytes(NFTA_RANGE_FROM_DATA)), to = NftDataValue(a.bytes(NFTA_RANGE_TO_DATA));
    if (field == nullptr || !field->kind || !field->mask.empty() || from.size() != field->width ||
        to.size() != from.size()) {
      return NotUnderstood();
    }
    AddRanges(*field, {{Octets(from.begin(), from.end()), Octets(to.begin(), to.end()), {}, {}}},
              a.number(NFTA_RANGE_OP) == NFT_RANGE_NEQ);
  }

  void Lookup(const NftAttributes& a) {
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

  // The fields of the packet that are the key of `key_bytes` which begins in this register; none when one of them is
  // not known.
  std::vector<NftField> FieldsOfKey(std::uint32_t number, std::size_t key_bytes) const {
    std::vector<NftField> fields;
    std::size_t slot = NftRegisterSlot(number);
    for (std::size_t bytes = 0; bytes < key_bytes;) {
      if (slot >= registers_.size()) return {};
      const NftField& field = registers_[slot];
      if (!field.kind || !field.mask.empty() || field.width == 0 || field.loaded != field.width) return {};
      fields.push_back(field);
      const std::size_t slots = (field.width + kSlotBytes - 1) / kSlotBytes;
      slot += slots;
      // One field alone is as long as it is; in a concatenation each fills its registers.
      bytes += bytes == 0 && field.width == key_bytes ? field.width : slots * kSlotBytes;
      if (bytes > key_bytes) return {};
    }
    return fields;
  }

  // One element of a set or map as what a packet must be; nothing when a field of it has none of the forms that are
  // known.
  std::vector<RuleCondition> ConditionsOf(const std::vector<NftField>& fields, const NftSetContent::Element& element) {
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

  void AddTuples(const std::vector<NftField>& fields, const std::vector<NftSetContent::Element>& elements,
                 bool negated) {
    RuleCondition condition{Kind::kTuple, negated, {}, {}, {}, {}, false};
    for (const NftSetContent::Element& element : elements)
      condition.alternatives.push_back(ConditionsOf(fields, element));
    Add(std::move(condition));
  }

  void Counts(const std::string& set) {
    rule_.counting_set = set;
    rule_.counting_ipset = false;
  }

  void VerdictMap(std::uint32_t from, const NftSetContent* content) {
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
        mapped.addresses =
            AddressRange{AddressOf(element.first, field->family), AddressOf(element.last, field->family)};
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

  void Immediate(const NftAttributes& a) {
    if (NftRegisterSlot(a.number(NFTA_IMMEDIATE_DREG)) != kNftVerdictSlot) {
      NftField constant;
      const Bytes value = NftDataValue(a.bytes(NFTA_IMMEDIATE_DATA));
      constant.value.assign(value.begin(), value.end());
      return Load(a.number(NFTA_IMMEDIATE_DREG), std::move(constant));
    }
    const auto verdict = DecodeNftVerdict(a.bytes(NFTA_IMMEDIATE_DATA));
    if (!verdict) return NotUnderstood();
    const Verdict decoded = VerdictOf(verdict->code);
    if (decoded != Verdict::kContinue) rule_.verdict = decoded;
    rule_.jump_target = verdict->chain;
  }

  void ObjectReference(const NftAttributes& a) {
    const auto type = a.number(NFTA_OBJREF_IMM_TYPE);
    if (type == NFT_OBJECT_COUNTER) rule_.has_counter = true;
    const bool harmless = type == NFT_OBJECT_COUNTER || type == NFT_OBJECT_CT_HELPER || type == NFT_OBJECT_CT_TIMEOUT;
    if (harmless) return;
    NotUnderstood("a named object");  // quotas and limits by name; maps of objects
    rule_.counting_set.clear();
  }

  void DynamicSet(const NftAttributes& a) {
    const std::string name(a.text(NFTA_DYNSET_SET_NAME));
    const NftField* field = At(a.number(NFTA_DYNSET_SREG_KEY));
    SetUpdate update{name, false, false};
    RuleLimit::Per per = RuleLimit::Per::kOther;
    std::uint8_t prefix = 0;
    if (field != nullptr && field->kind && field->loaded == field->width) {
      const auto bits =
          field->mask.empty() ? std::optional<unsigned>(AddressBits(field->family)) : LeadingBits(field->mask);
      const auto set = sets_.find({message_.family, std::string(message_.table), name});
      const bool alone = set == sets_.end() || set->second.key_bytes == field->width;  // and not one part of several
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

  void Log(const NftAttributes& a) {
    rule_.log_prefix = a.text(NFTA_LOG_PREFIX);
    if (a.has(NFTA_LOG_GROUP)) rule_.nflog_group = static_cast<std::uint16_t>(a.number(NFTA_LOG_GROUP));
    if (rule_.verdict == Verdict::kContinue) rule_.verdict = Verdict::kLog;
  }

  void AddRanges(const NftField& field, const std::vector<NftSetContent::Element>& elements, bool negated) {
    Add(RangesCondition(field, elements, negated, rule_));
  }

  // What later loads mean depends on what was asked before them.
  void Add(RuleCondition condition) {
    if (!condition.negated && condition.numbers.size() == 1 &&
        condition.numbers[0].first == condition.numbers[0].last) {
      const std::uint32_t number = condition.numbers[0].first;
      if (condition.kind == Kind::kFamily && number == NFPROTO_IPV4) headers_.layer3 = Family::kIpv4;
      if (condition.kind == Kind::kFamily && number == NFPROTO_IPV6) headers_.layer3 = Family::kIpv6;
      if (condition.kind == Kind::kProtocol) headers_.protocol = number;
    }
    rule_.conditions.push_back(std::move(condition));
  }

  const NftRule& message_;
  const NftSetContents& sets_;
  Rule rule_;
  std::array<NftField, 16> registers_;
  std::string_view step_;   // the expression that is being decoded
  bool maps_ = false;       // a verdict map ends the rule
  bool map_known_ = false;  // and all of its keys are known
  NftHeaders headers_;
  const NftSetContent* looked_up_ = nullptr;  // the last map of values; null: not known
  std::size_t looked_up_slot_ = 0;            // where what it gave begins
  std::vector<NftField> looked_up_key_;       // empty: not known
};

}  // namespace

Rule DecodeRule(const NftRule& message, const NftSetContents& sets) { return RuleDecoder(message, sets).Decode(); }

}  // namespace conntally
