#include "collectors/rules/nft/decode/nft_condition.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <string>

#include "collectors/rules/iptables/xt_decoder.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

std::optional<RuleCondition> EqualAddress(const NftField& field, Bytes value, bool negated) {
  const std::size_t bytes = field.mask.empty() ? value.size() : std::min(field.mask.size(), value.size());
  unsigned bits = static_cast<unsigned>(bytes * 8);
  if (!field.mask.empty()) {
    const auto leading = LeadingBits(Bytes(field.mask).first(bytes));
    if (!leading) return std::nullopt;
    bits = *leading;
  }
  const IpAddress first = AddressOf(value, field.family);
  const AddressRange range{first, RangeOf({first, static_cast<std::uint8_t>(bits)}).last};
  return RuleCondition{*field.kind, negated, {range}, {}, {}, {}, false};
}

}  // namespace

std::optional<RuleCondition> EqualCondition(const NftField& field, Bytes value, bool negated, Rule& rule) {
  const Kind kind = *field.kind;
  if (kind == Kind::kInInterface || kind == Kind::kOutInterface) {
    if (!field.mask.empty()) return std::nullopt;
    // A name with its NUL, or a prefix without.
    std::string name(AttributeText(value));
    if (name.size() == value.size() && value.size() < 16) name += '*';
    return RuleCondition{kind, negated, {}, {}, {name}, {}, false};
  }
  // Only loopback's index is the same in every namespace (net/core/dev.c, LOOPBACK_IFINDEX).
  if ((kind == Kind::kInInterfaceIndex || kind == Kind::kOutInterfaceIndex) && field.mask.empty() &&
      NumberOf(value, false) == 1) {
    return RuleCondition{
        kind == Kind::kInInterfaceIndex ? Kind::kInInterface : Kind::kOutInterface, negated, {}, {}, {"lo"}, {}, false};
  }
  if (kind == Kind::kReversePath) {  // "exists" or "missing", of one byte or four
    const std::uint32_t exists = NumberOf(value, false) != 0 ? 1 : 0;
    return RuleCondition{kind, negated, {}, {{exists, exists}}, {}, {}, false};
  }
  if (kind == Kind::kMark) {
    const std::uint32_t mask = field.mask.empty() ? 0xffffffffU : NumberOf(field.mask, false);
    return RuleCondition{kind, negated, {}, {{NumberOf(value, false), mask}}, {}, {}, false};
  }
  if (kind == Kind::kConntrackState || kind == Kind::kConntrackStatus) {
    // `ct state a,b` is (state & (a|b)) != 0; `ct state == a` compares all bits: only one is set.
    const std::uint32_t number = NumberOf(value, false);
    if (!field.mask.empty() && number == 0) {
      const std::uint32_t mask = NumberOf(field.mask, false);
      return RuleCondition{kind, !negated, {}, {{mask, mask}}, {}, {}, false};
    }
    if (!field.mask.empty()) return std::nullopt;
    return RuleCondition{kind, negated, {}, {{number, number}}, {}, {}, false};
  }
  if (kind == Kind::kTcpFlags) {
    const std::uint32_t mask = field.mask.empty() ? 0xff : NumberOf(field.mask, true);
    return RuleCondition{kind, negated, {}, {{NumberOf(value, true), mask}}, {}, {}, false};
  }
  if (kind == Kind::kSource || kind == Kind::kDestination) return EqualAddress(field, value, negated);
  if (!field.mask.empty() || value.size() != field.width) return std::nullopt;
  const std::vector<std::byte> octets(value.begin(), value.end());
  return RangesCondition(field, {{octets, octets, {}, {}}}, negated, rule);
}

std::optional<RuleCondition> OrderCondition(const NftField& field, Bytes value, std::uint32_t operation, Rule& rule) {
  if (!field.mask.empty() || value.size() != field.width || *field.kind == Kind::kInInterface ||
      *field.kind == Kind::kOutInterface || !field.network_order) {
    return std::nullopt;
  }
  using Octets = std::vector<std::byte>;
  Octets low(field.width, std::byte{0}), high(field.width, std::byte{0xff}), bound(value.begin(), value.end());
  const auto step = [&](bool up) {  // to the next number, with wrap-around: nft writes no comparison that wraps
    for (std::size_t i = bound.size(); i-- > 0;) {
      bound[i] = static_cast<std::byte>(std::to_integer<unsigned>(bound[i]) + (up ? 1U : 255U));
      if (bound[i] != (up ? std::byte{0} : std::byte{0xff})) return;
    }
  };
  if (operation == NFT_CMP_GT) step(true);
  if (operation == NFT_CMP_LT) step(false);
  if (operation == NFT_CMP_GT || operation == NFT_CMP_GTE) low = bound;
  if (operation == NFT_CMP_LT || operation == NFT_CMP_LTE) high = bound;
  if (low > high) return std::nullopt;
  return RangesCondition(field, {{low, high, {}, {}}}, false, rule);
}

RuleCondition RangesCondition(const NftField& field, const std::vector<NftSetContent::Element>& elements, bool negated,
                              Rule& rule) {
  RuleCondition condition{*field.kind, negated, {}, {}, {}, {}, false};
  for (const NftSetContent::Element& element : elements) {
    switch (*field.kind) {
      case Kind::kSource:
      case Kind::kDestination:
        condition.addresses.push_back({AddressOf(element.first, field.family), AddressOf(element.last, field.family)});
        break;
      case Kind::kInInterface:
      case Kind::kOutInterface:
        condition.interfaces.emplace_back(AttributeText(element.first));
        if (element.first != element.last) condition.interfaces.back() += '*';  // "eth*" is a range of names
        break;
      case Kind::kTcpFlags: condition.numbers.push_back({NumberOf(element.first, true), 0xff}); break;
      case Kind::kMark: {
        if (element.first != element.last) NotUnderstood(rule, "a range of marks");
        condition.numbers.push_back({NumberOf(element.first, false), 0xffffffffU});
        break;
      }
      default:
        condition.numbers.push_back(
            {NumberOf(element.first, field.network_order), NumberOf(element.last, field.network_order)});
    }
  }
  if (*field.kind == Kind::kFamily && field.width == 2) {  // EtherTypes: as families
    for (NumberRange& range : condition.numbers) {
      if (range.first != range.last || (range.first != 0x0800 && range.first != 0x86dd)) {
        NotUnderstood(rule, "an EtherType");
        break;
      }
      range.first = range.last = range.first == 0x0800 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    }
  }
  return condition;
}

}  // namespace conntally
