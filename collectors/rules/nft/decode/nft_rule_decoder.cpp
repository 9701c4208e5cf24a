#include "collectors/rules/nft/decode/nft_rule_decoder.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "collectors/rules/iptables/xt_decoder.h"
#include "collectors/rules/nft/decode/nft_condition.h"
#include "collectors/rules/nft/decode/nft_field.h"
#include "collectors/rules/nft/decode/nft_limits.h"
#include "collectors/rules/nft/decode/nft_nat.h"
#include "collectors/rules/nft/decode/nft_rule_steps.h"

namespace conntally {

NftRuleSteps::NftRuleSteps(const NftRule& message, const NftSetContents& sets) : message_(message), sets_(sets) {
  if (message.family == RuleFamily::kIp) headers_.layer3 = Family::kIpv4;
  if (message.family == RuleFamily::kIp6) headers_.layer3 = Family::kIpv6;
}

Rule NftRuleSteps::Decode() {
  rule_.family = message_.family;
  rule_.table = message_.table;
  rule_.chain = message_.chain;
  rule_.handle = message_.handle;
  rule_.comment = CommentOf(message_.userdata);
  rule_.fully_understood = true;
  NftExpressionWalk walk(message_.expressions);
  for (NftExpression expression; walk.Next(expression);) Step(expression);
  if (walk.malformed()) NotUnderstood("a malformed rule");
  if (value_maps_undecided_) NotUnderstood("a map of values");
  if (maps_) {
    rule_.map_understood = map_known_ && rule_.fully_understood;
    rule_.fully_understood = false;  // the map decides which packets it matches
  }
  return std::move(rule_);
}

void NftRuleSteps::NotUnderstood(std::string_view what) { conntally::NotUnderstood(rule_, what); }

void NftRuleSteps::Step(const NftExpression& expression) {
  const NftAttributes a(expression.data);
  const std::string_view name = expression.name;
  step_ = name;
  // These let every packet continue.
  constexpr std::array<std::string_view, 13> kPassing = {"meta",    "payload", "ct",    "bitwise", "immediate",
                                                         "counter", "objref",  "log",   "reject",  "notrack",
                                                         "last",    "match",   "target"};
  // xt matches and object references handle it themselves.
  if (std::find(kPassing.begin(), kPassing.end(), name) == kPassing.end()) rule_.counting_set.clear();
  if (name == "meta") return a.has(NFTA_META_SREG) ? SetMeta(a) : Load(a.number(NFTA_META_DREG), MetaField(a));
  // Both may also write, to the packet or its connection.
  if (name == "payload") {
    NftField field = PayloadField(a, headers_);
    if (!a.has(NFTA_PAYLOAD_SREG)) return Load(a.number(NFTA_PAYLOAD_DREG), std::move(field));
    if (field.kind) rule_.rewrites.push_back(*field.kind);
    return;
  }
  if (name == "ct") {
    if (!a.has(NFTA_CT_SREG)) return Load(a.number(NFTA_CT_DREG), ConntrackField(a));
    if (a.number(NFTA_CT_KEY) != NFT_CT_ZONE) return;
    const NftField* from = At(a.number(NFTA_CT_SREG));
    const bool constant = from != nullptr && from->value.size() == 2 && !a.has(NFTA_CT_DIRECTION);
    rule_.zone = ZoneChange{};
    if (constant) rule_.zone->zone = static_cast<std::uint16_t>(NumberOf(from->value, false));
    return;
  }
  if (name == "bitwise") return Bitwise(a);
  if (name == "byteorder") {  // between the same registers: from the host's order to the network's, or back
    NftField* field = At(a.number(NFTA_BYTEORDER_SREG));
    if (field == nullptr) return NotUnderstood();
    NftField turned = *field;
    turned.network_order = a.number(NFTA_BYTEORDER_OP) == NFT_BYTEORDER_HTON;
    return Load(a.number(NFTA_BYTEORDER_DREG), std::move(turned));
  }
  if (name == "cmp") return Compare(a);
  if (name == "range") return Range(a);
  if (name == "lookup") return Lookup(a);
  if (name == "immediate") return Immediate(a);
  if (name == "objref") return ObjectReference(a);
  if (name == "dynset") return DynamicSet(a);
  if (name == "limit") return rule_.limits.push_back(NftRateLimit(a, RuleLimit::Per::kEverything));
  if (name == "connlimit") return rule_.limits.push_back(NftConnectionLimit(a, RuleLimit::Per::kEverything));
  if (name == "log") return Log(a);
  if (name == "fib") return Load(a.number(NFTA_FIB_DREG), RoutingField(a));
  if (name == "reject") return Reject(a);
  if (name == "queue") return NftQueue(a, rule_);
  if (name == "nat" || name == "masq" || name == "redir") return Nat(name, a);
  if (name == "match")
    return DecodeXtMatch(a.text(NFTA_MATCH_NAME), a.number(NFTA_MATCH_REV), a.bytes(NFTA_MATCH_INFO), headers_.layer3,
                         rule_);
  if (name == "target")
    return DecodeXtTarget(a.text(NFTA_TARGET_NAME), a.number(NFTA_TARGET_REV), a.bytes(NFTA_TARGET_INFO), rule_);
  if (name == "counter") rule_.has_counter = true;
  if (name == "synproxy" || name == "fwd") rule_.takes_over = true;
  if (name == "notrack") rule_.untracks = true;
  constexpr std::array<std::string_view, 6> kLoadNothing = {"counter", "synproxy", "fwd", "notrack", "last", "dup"};
  if (std::find(kLoadNothing.begin(), kLoadNothing.end(), name) != kLoadNothing.end()) return;
  // Only TCP has the value of a TCP option; that there is none, others have as well.
  if (name == "exthdr" && a.number(NFTA_EXTHDR_OP) == NFT_EXTHDR_OP_TCPOPT &&
      (a.number(NFTA_EXTHDR_FLAGS) & NFT_EXTHDR_F_PRESENT) == 0) {
    RuleCondition& tcp = rule_.conditions.emplace_back();
    tcp.kind = RuleCondition::Kind::kProtocol;
    tcp.numbers = {{IPPROTO_TCP, IPPROTO_TCP}};
  }
  if (name == "tproxy") rule_.verdict = Verdict::kOther;  // and to where it sends the packet
  NotUnderstood();
  registers_ = {};  // it may have written any register: trust none
}

NftField* NftRuleSteps::At(std::uint32_t number) {
  const std::size_t slot = NftRegisterSlot(number);
  return slot < registers_.size() ? &registers_[slot] : nullptr;
}

void NftRuleSteps::Load(std::uint32_t number, NftField field) {
  NftField* slot = At(number);
  if (slot == nullptr) return NotUnderstood();
  if (field.what.empty()) field.what = step_;
  *slot = std::move(field);
}

void NftRuleSteps::SetMeta(const NftAttributes& a) {
  if (a.number(NFTA_META_KEY) == NFT_META_NFTRACE) rule_.traces = true;
  if (a.number(NFTA_META_KEY) != NFT_META_MARK) return;
  const NftField* from = At(a.number(NFTA_META_SREG));
  const bool constant = from != nullptr && from->value.size() == 4;
  rule_.mark = constant ? MarkChange{true, 0, NumberOf(from->value, false)} : MarkChange{};
}

void NftRuleSteps::Reject(const NftAttributes& a) {
  rule_.verdict = Verdict::kReject;
  rule_.tcp_reset = a.number(NFTA_REJECT_TYPE) == NFT_REJECT_TCP_RST;
}

void NftRuleSteps::Bitwise(const NftAttributes& a) {
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

void NftRuleSteps::Compare(const NftAttributes& a) {
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

void NftRuleSteps::Equal(const NftField& field, Bytes value, bool negated) {
  auto condition = EqualCondition(field, value, negated, rule_);
  if (!condition) return NotUnderstood();
  Add(*std::move(condition));
}

void NftRuleSteps::Range(const NftAttributes& a) {
  const NftField* field = At(a.number(NFTA_RANGE_SREG));
  const Bytes from = NftDataValue(a.bytes(NFTA_RANGE_FROM_DATA)), to = NftDataValue(a.bytes(NFTA_RANGE_TO_DATA));
  if (field == nullptr || !field->kind || !field->mask.empty() || from.size() != field->width ||
      to.size() != from.size()) {
    return NotUnderstood();
  }
  AddRanges(*field, {{Octets(from.begin(), from.end()), Octets(to.begin(), to.end()), {}, {}}},
            a.number(NFTA_RANGE_OP) == NFT_RANGE_NEQ);
}

void NftRuleSteps::Immediate(const NftAttributes& a) {
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

void NftRuleSteps::ObjectReference(const NftAttributes& a) {
  const auto type = a.number(NFTA_OBJREF_IMM_TYPE);
  if (type == NFT_OBJECT_COUNTER) rule_.has_counter = true;
  const bool harmless = type == NFT_OBJECT_COUNTER || type == NFT_OBJECT_CT_HELPER || type == NFT_OBJECT_CT_TIMEOUT;
  if (harmless) return;
  NotUnderstood("a named object");  // quotas and limits by name; maps of objects
  rule_.counting_set.clear();
}

void NftRuleSteps::Log(const NftAttributes& a) {
  rule_.log_prefix = a.text(NFTA_LOG_PREFIX);
  if (a.has(NFTA_LOG_GROUP)) rule_.nflog_group = static_cast<std::uint16_t>(a.number(NFTA_LOG_GROUP));
  if (rule_.verdict == Verdict::kContinue) rule_.verdict = Verdict::kLog;
}

void NftRuleSteps::Add(RuleCondition condition) {
  if (!condition.negated && condition.numbers.size() == 1 && condition.numbers[0].first == condition.numbers[0].last) {
    const std::uint32_t number = condition.numbers[0].first;
    if (condition.kind == Kind::kFamily && number == NFPROTO_IPV4) headers_.layer3 = Family::kIpv4;
    if (condition.kind == Kind::kFamily && number == NFPROTO_IPV6) headers_.layer3 = Family::kIpv6;
    if (condition.kind == Kind::kProtocol) headers_.protocol = number;
  }
  rule_.conditions.push_back(std::move(condition));
}

void NftRuleSteps::Nat(std::string_view name, const NftAttributes& a) {
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
  if (!looked_up_key_.empty()) value_maps_undecided_ = false;
}

Rule DecodeRule(const NftRule& message, const NftSetContents& sets) { return NftRuleSteps(message, sets).Decode(); }

}  // namespace conntally
