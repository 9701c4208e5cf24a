#include "collectors/rules/nft_rule_decoder.h"

#include <netinet/in.h>
// After it: these clash with it otherwise.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "collectors/rules/xt_decoder.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;
using Octets = std::vector<std::byte>;

// NFTA_* of one expression, by type.
class Attributes {
 public:
  explicit Attributes(Bytes bytes) {
    AttributeWalk walk(bytes);
    for (Attribute attribute; walk.Next(attribute);) {
      if (attribute.type < fields_.size()) fields_[attribute.type] = attribute;
    }
  }
  bool has(int type) const { return fields_[Index(type)].type != 0; }
  Bytes bytes(int type) const { return fields_[Index(type)].payload; }
  std::uint32_t number(int type) const { return static_cast<std::uint32_t>(wide(type)); }
  std::uint64_t wide(int type) const { return NftNumber(bytes(type)).value_or(0); }
  std::string_view text(int type) const { return NftText(bytes(type)); }

 private:
  static std::size_t Index(int type) { return static_cast<std::size_t>(type); }
  std::array<Attribute, 24> fields_{};
};

// What a register holds.
struct Field {
  std::optional<Kind> kind;    // nullopt: something that is not decoded
  bool network_order = true;   // else the host's
  bool mark = false;           // a part of an address, an unknown ...
  Family family = Family::kIpv4;  // of addresses
  std::size_t width = 0;       // of the whole field, in bytes
  std::size_t loaded = 0;      // of what is in the register
  Octets mask;                 // empty: none
  std::vector<Field> parts;    // fields that were loaded together, side by side
  Octets value;                // of a constant
  std::string_view what;       // by which it was loaded
};

std::size_t RegisterSlot(std::uint32_t number) {
  if (number >= NFT_REG_1 && number <= NFT_REG_4) return (number - NFT_REG_1) * 4;
  if (number >= NFT_REG32_00 && number <= NFT_REG32_15) return number - NFT_REG32_00;
  return 16;
}

std::uint32_t NumberOf(Bytes value, bool network_order) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(value.size(), 4); ++i) {
    const std::size_t at = network_order ? i : value.size() - 1 - i;
    number = number << 8 | std::to_integer<std::uint32_t>(value[at]);
  }
  return number;
}

IpAddress AddressOf(Bytes value, Family family, std::uint8_t fill) {
  IpAddress address;
  address.family = family;
  const std::size_t width = AddressBits(family) / 8;
  for (std::size_t i = 0; i < width; ++i) {
    address.bytes[i] = i < value.size() ? std::to_integer<std::uint8_t>(value[i]) : fill;
  }
  return address;
}

// How many leading bits a mask has; nullopt when it is not contiguous.
std::optional<unsigned> LeadingBits(Bytes mask) {
  unsigned bits = 0;
  bool ended = false;
  for (const std::byte octet : mask) {
    for (int bit = 7; bit >= 0; --bit) {
      const bool one = (std::to_integer<unsigned>(octet) >> bit & 1U) != 0;
      if (one && ended) return std::nullopt;
      if (one) ++bits;
      ended = ended || !one;
    }
  }
  return bits;
}

class RuleDecoder {
 public:
  RuleDecoder(const NftRule& message, const NftSetContents& sets) : message_(message), sets_(sets) {
    if (message.family == RuleFamily::kIp) layer3_ = Family::kIpv4;
    if (message.family == RuleFamily::kIp6) layer3_ = Family::kIpv6;
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
    const Attributes a(expression.data);
    const std::string_view name = expression.name;
    step_ = name;
    // These let every packet go on.
    constexpr std::array<std::string_view, 13> kPassing = {"meta", "payload", "ct", "bitwise", "immediate", "counter", "objref",
                                                           "log", "reject", "notrack", "last", "match", "target"};
    // An xt match sees to it itself, and so do references to objects.
    if (std::find(kPassing.begin(), kPassing.end(), name) == kPassing.end()) rule_.counting_set.clear();
    if (name == "meta") return Meta(a);
    if (name == "payload") return Payload(a);
    if (name == "ct") return Conntrack(a);
    if (name == "bitwise") return Bitwise(a);
    if (name == "cmp") return Compare(a);
    if (name == "range") return Range(a);
    if (name == "lookup") return Lookup(a);
    if (name == "immediate") return Immediate(a);
    if (name == "counter") return void(rule_.has_counter = true);
    if (name == "objref") return ObjectReference(a);
    if (name == "dynset") return DynamicSet(a);
    if (name == "limit") return rule_.limits.push_back(RateLimit(a, RuleLimit::Per::kEverything));
    if (name == "connlimit") return rule_.limits.push_back(ConnectionLimit(a, RuleLimit::Per::kEverything));
    if (name == "log") return Log(a);
    if (name == "fib") return RoutingTable(a);
    if (name == "reject") return Reject(a);
    if (name == "queue") return void(rule_.verdict = Verdict::kQueue);
    if (name == "nat" || name == "masq" || name == "redir") return Nat(name, a);
    if (name == "match") return DecodeXtMatch(a.text(NFTA_MATCH_NAME), a.number(NFTA_MATCH_REV), a.bytes(NFTA_MATCH_INFO), layer3_, rule_);
    if (name == "target") return DecodeXtTarget(a.text(NFTA_TARGET_NAME), a.number(NFTA_TARGET_REV), a.bytes(NFTA_TARGET_INFO), rule_);
    if (name == "notrack") return void(rule_.untracks = true);
    if (name == "last" || name == "dup") return;
    NotUnderstood();
    registers_ = {};  // whichever it wrote: none is trusted any more
  }

  Field* At(std::uint32_t number) {
    const std::size_t slot = RegisterSlot(number);
    return slot < registers_.size() ? &registers_[slot] : nullptr;
  }
  void Load(std::uint32_t number, Field field) {
    if (Field* slot = At(number)) {
      if (field.what.empty()) field.what = step_;
      *slot = std::move(field);
    } else {
      NotUnderstood();
    }
  }

  void Meta(const Attributes& a) {
    if (a.has(NFTA_META_SREG)) return SetMeta(a);
    Field field;
    switch (a.number(NFTA_META_KEY)) {
      case NFT_META_L4PROTO: field.kind = Kind::kProtocol, field.width = 1; break;
      case NFT_META_NFPROTO: field.kind = Kind::kFamily, field.width = 1; break;
      case NFT_META_PROTOCOL: field.kind = Kind::kFamily, field.width = 2; break;  // an EtherType: see NumbersOf
      case NFT_META_IIFNAME: field.kind = Kind::kInInterface, field.width = 16; break;
      case NFT_META_OIFNAME: field.kind = Kind::kOutInterface, field.width = 16; break;
      case NFT_META_IIF: field.kind = Kind::kInInterfaceIndex, field.width = 4, field.network_order = false; break;
      case NFT_META_OIF: field.kind = Kind::kOutInterfaceIndex, field.width = 4, field.network_order = false; break;
      case NFT_META_MARK: field.kind = Kind::kMark, field.width = 4, field.network_order = false; break;
      case NFT_META_PKTTYPE: field.kind = Kind::kPacketType, field.width = 1; break;
      case NFT_META_SKUID:
      case NFT_META_SKGID: step_ = "the socket's owner"; break;
      default: break;
    }
    field.loaded = field.width;
    Load(a.number(NFTA_META_DREG), field);
  }

  // No condition, but what later rules see.
  void SetMeta(const Attributes& a) {
    if (a.number(NFTA_META_KEY) == NFT_META_NFTRACE) rule_.traces = true;
    if (a.number(NFTA_META_KEY) != NFT_META_MARK) return;
    const Field* from = At(a.number(NFTA_META_SREG));
    const bool constant = from != nullptr && from->value.size() == 4;
    rule_.mark = constant ? MarkChange{true, 0, NumberOf(from->value, false)} : MarkChange{};
  }

  // What routing says of an address of the packet.
  void RoutingTable(const Attributes& a) {
    const auto result = a.number(NFTA_FIB_RESULT), flags = a.number(NFTA_FIB_FLAGS);
    Field field;
    field.network_order = false;
    const bool source = (flags & NFTA_FIB_F_SADDR) != 0;
    constexpr std::uint32_t kReverse = NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF;
    if (result == NFT_FIB_RESULT_ADDRTYPE && (flags & NFTA_FIB_F_IIF) == 0) {
      field.kind = source ? Kind::kSourceType : Kind::kDestinationType, field.width = 4;
    } else if (result == NFT_FIB_RESULT_OIF && (flags & kReverse) == kReverse && (flags & NFTA_FIB_F_PRESENT) != 0) {
      field.kind = Kind::kReversePath, field.width = 1;
    }
    field.loaded = field.width;
    Load(a.number(NFTA_FIB_DREG), field);
  }

  void Reject(const Attributes& a) {
    rule_.verdict = Verdict::kReject;
    rule_.tcp_reset = a.number(NFTA_REJECT_TYPE) == NFT_REJECT_TCP_RST;
  }

  void Nat(std::string_view name, const Attributes& a) {
    rule_.verdict = Verdict::kNat;
    NatTarget target;
    const auto constant = [&](int type) -> Octets {
      const Field* field = a.has(type) ? At(a.number(type)) : nullptr;
      if (field != nullptr && !field->value.empty()) return field->value;
      target.known = target.known && !a.has(type);
      return {};
    };
    const auto ports = [&](int first, int last) {
      const Octets from = constant(first), to = a.has(last) ? constant(last) : from;
      if (from.size() >= 2 && to.size() >= 2) target.ports = NumberRange{NumberOf(Bytes(from).first(2), true), NumberOf(Bytes(to).first(2), true)};
    };
    if (name == "masq") {
      target.kind = NatTarget::Kind::kMasquerade;
      ports(NFTA_MASQ_REG_PROTO_MIN, NFTA_MASQ_REG_PROTO_MAX);
    } else if (name == "redir") {
      target.kind = NatTarget::Kind::kRedirect;
      ports(NFTA_REDIR_REG_PROTO_MIN, NFTA_REDIR_REG_PROTO_MAX);
    } else {
      target.kind = a.number(NFTA_NAT_TYPE) == NFT_NAT_DNAT ? NatTarget::Kind::kDestination : NatTarget::Kind::kSource;
      const Family family = a.number(NFTA_NAT_FAMILY) == NFPROTO_IPV6 ? Family::kIpv6 : Family::kIpv4;
      const Octets from = constant(NFTA_NAT_REG_ADDR_MIN), to = a.has(NFTA_NAT_REG_ADDR_MAX) ? constant(NFTA_NAT_REG_ADDR_MAX) : from;
      if (!from.empty() && !to.empty()) target.addresses = AddressRange{AddressOf(from, family, 0), AddressOf(to, family, 0)};
      ports(NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX);
    }
    rule_.nat = target;
  }

  // A field of the packet that begins at `offset`; no kind: none that is known. `width` is the field's, `most` how much is wanted of it.
  Field FieldAt(std::uint32_t base, std::uint32_t offset, std::size_t most) const {
    Field field;
    const auto is = [&](Kind kind, std::size_t width) { field.kind = kind, field.width = width; };
    if (base == NFT_PAYLOAD_NETWORK_HEADER && layer3_ == Family::kIpv4) {
      if (offset == 12) is(Kind::kSource, 4);
      if (offset == 16) is(Kind::kDestination, 4);
      if (offset == 9) is(Kind::kProtocol, 1);
    }
    if (base == NFT_PAYLOAD_NETWORK_HEADER && layer3_ == Family::kIpv6) {
      field.family = Family::kIpv6;
      if (offset == 8) is(Kind::kSource, 16);
      if (offset == 24) is(Kind::kDestination, 16);
      if (offset == 6) is(Kind::kProtocol, 1);
    }
    if (base == NFT_PAYLOAD_TRANSPORT_HEADER) {
      const bool ports = protocol_ == IPPROTO_TCP || protocol_ == IPPROTO_UDP || protocol_ == IPPROTO_SCTP ||
                         protocol_ == IPPROTO_DCCP || protocol_ == IPPROTO_UDPLITE || !protocol_;
      const bool icmp = protocol_ == IPPROTO_ICMP || protocol_ == IPPROTO_ICMPV6;
      if (offset == 0 && ports && most >= 2) is(Kind::kSourcePort, 2);
      if (offset == 2 && ports && most >= 2) is(Kind::kDestinationPort, 2);
      if (offset == 0 && icmp) is(Kind::kIcmpType, 1);
      if (offset == 1 && icmp) is(Kind::kIcmpCode, 1);
      if (offset == 13 && protocol_ == IPPROTO_TCP) is(Kind::kTcpFlags, 1);
    }
    field.loaded = std::min(field.width, most);
    return field;
  }

  void Payload(const Attributes& a) {
    if (a.has(NFTA_PAYLOAD_SREG)) return;  // writes into the packet
    const auto base = a.number(NFTA_PAYLOAD_BASE), offset = a.number(NFTA_PAYLOAD_OFFSET), length = a.number(NFTA_PAYLOAD_LEN);
    Field field = FieldAt(base, offset, length);
    if (field.kind && length > field.width) {  // neighbours in one load, which nft does to save one
      Field whole;
      std::uint32_t at = 0;
      while (at < length) {
        const Field part = FieldAt(base, offset + at, length - at);
        if (!part.kind || part.loaded != part.width) break;
        at += static_cast<std::uint32_t>(part.width);
        whole.parts.push_back(part);
      }
      if (at != length) whole.parts.clear();
      field = std::move(whole);
    }
    field.loaded = length;
    Load(a.number(NFTA_PAYLOAD_DREG), std::move(field));
  }

  void Conntrack(const Attributes& a) {
    if (a.has(NFTA_CT_SREG)) return;
    Field field;
    if (a.number(NFTA_CT_KEY) == NFT_CT_STATE) {
      field = {Kind::kConntrackState, false, false, Family::kIpv4, 4, 4, {}, {}, {}, {}};
    } else if (a.number(NFTA_CT_KEY) == NFT_CT_STATUS) {
      field = {Kind::kConntrackStatus, false, false, Family::kIpv4, 4, 4, {}, {}, {}, {}};
    }
    Load(a.number(NFTA_CT_DREG), field);
  }

  void Bitwise(const Attributes& a) {
    const Field* from = At(a.number(NFTA_BITWISE_SREG));
    if (from == nullptr) return NotUnderstood();
    Field field = *from;
    const Bytes mask = NftDataValue(a.bytes(NFTA_BITWISE_MASK)), flip = NftDataValue(a.bytes(NFTA_BITWISE_XOR));
    const bool plain = a.number(NFTA_BITWISE_OP) == 0 && field.mask.empty() &&
                       std::all_of(flip.begin(), flip.end(), [](std::byte octet) { return octet == std::byte{0}; });
    if (!plain || mask.empty()) field.kind.reset();
    field.parts.clear();
    field.value.clear();
    field.mask.assign(mask.begin(), mask.end());
    Load(a.number(NFTA_BITWISE_DREG), field);
  }

  void Compare(const Attributes& a) {
    const Field* field = At(a.number(NFTA_CMP_SREG));
    const Bytes value = NftDataValue(a.bytes(NFTA_CMP_DATA));
    const auto operation = a.number(NFTA_CMP_OP);
    if (field != nullptr && !field->parts.empty() && operation == NFT_CMP_EQ && value.size() == field->loaded) {
      std::size_t at = 0;
      for (const Field& part : field->parts) {
        Equal(part, value.subspan(at, part.width), false);
        at += part.width;
      }
      return;
    }
    if (field != nullptr && !field->kind && !field->what.empty()) return NotUnderstood(field->what);
    if (field == nullptr || !field->kind || value.empty()) return NotUnderstood();
    if (operation == NFT_CMP_EQ || operation == NFT_CMP_NEQ) return Equal(*field, value, operation == NFT_CMP_NEQ);
    // Orders: of numbers and addresses alone, and never of masked ones.
    const std::size_t width = field->width;
    Octets low(width, std::byte{0}), high(width, std::byte{0xff});
    if (!field->mask.empty() || value.size() != width || *field->kind == Kind::kInInterface ||
        *field->kind == Kind::kOutInterface || !field->network_order) {
      return NotUnderstood();
    }
    const auto step = [&](Octets& octets, bool up) {  // the next number; NotUnderstood is never needed: nft doesn't write it
      for (std::size_t i = octets.size(); i-- > 0;) {
        octets[i] = static_cast<std::byte>(std::to_integer<unsigned>(octets[i]) + (up ? 1U : 255U));
        if (octets[i] != (up ? std::byte{0} : std::byte{0xff})) return;
      }
    };
    Octets bound(value.begin(), value.end());
    if (operation == NFT_CMP_GT) step(bound, true);
    if (operation == NFT_CMP_LT) step(bound, false);
    if (operation == NFT_CMP_GT || operation == NFT_CMP_GTE) low = bound;
    if (operation == NFT_CMP_LT || operation == NFT_CMP_LTE) high = bound;
    if (low > high) return NotUnderstood();
    AddRanges(*field, {{low, high, {}, {}}}, false);
  }

  void Equal(const Field& field, Bytes value, bool negated) {
    const Kind kind = *field.kind;
    if (kind == Kind::kInInterface || kind == Kind::kOutInterface) {
      if (!field.mask.empty()) return NotUnderstood();
      // A name with its NUL, or a beginning.
      std::string name(NftText(value));
      if (name.size() == value.size() && value.size() < 16) name += '*';
      return Add({kind, negated, {}, {}, {name}, {}, false});
    }
    // Of indexes only loopback's is the same in every namespace (net/core/dev.c, LOOPBACK_IFINDEX).
    if ((kind == Kind::kInInterfaceIndex || kind == Kind::kOutInterfaceIndex) && field.mask.empty() && NumberOf(value, false) == 1) {
      return Add({kind == Kind::kInInterfaceIndex ? Kind::kInInterface : Kind::kOutInterface, negated, {}, {}, {"lo"}, {}, false});
    }
    if (kind == Kind::kReversePath) {  // "exists" or "missing", of one byte or four
      const std::uint32_t exists = NumberOf(value, false) != 0 ? 1 : 0;
      return Add({kind, negated, {}, {{exists, exists}}, {}, {}, false});
    }
    if (kind == Kind::kMark) {
      const std::uint32_t mask = field.mask.empty() ? 0xffffffffU : NumberOf(field.mask, false);
      return Add({kind, negated, {}, {{NumberOf(value, false), mask}}, {}, {}, false});
    }
    if (kind == Kind::kConntrackState || kind == Kind::kConntrackStatus) {
      // `ct state a,b` is (state & (a|b)) != 0; `ct state == a` compares all bits: there is one only.
      const std::uint32_t number = NumberOf(value, false);
      if (!field.mask.empty() && number == 0) {
        const std::uint32_t mask = NumberOf(field.mask, false);
        return Add({kind, !negated, {}, {{mask, mask}}, {}, {}, false});
      }
      if (!field.mask.empty()) return NotUnderstood();
      return Add({kind, negated, {}, {{number, number}}, {}, {}, false});
    }
    if (kind == Kind::kTcpFlags) {
      const std::uint32_t mask = field.mask.empty() ? 0xff : NumberOf(field.mask, true);
      return Add({kind, negated, {}, {{NumberOf(value, true), mask}}, {}, {}, false});
    }
    if (kind == Kind::kSource || kind == Kind::kDestination) return EqualAddress(field, value, negated);
    if (!field.mask.empty() || value.size() != field.width) return NotUnderstood();
    const Octets octets(value.begin(), value.end());
    AddRanges(field, {{octets, octets, {}, {}}}, negated);
  }

  void EqualAddress(const Field& field, Bytes value, bool negated) {
    const std::size_t bytes = field.mask.empty() ? value.size() : std::min(field.mask.size(), value.size());
    unsigned bits = static_cast<unsigned>(bytes * 8);
    if (!field.mask.empty()) {
      const auto leading = LeadingBits(Bytes(field.mask).first(bytes));
      if (!leading) return NotUnderstood();
      bits = *leading;
    }
    AddressRange range{AddressOf(value, field.family, 0), AddressOf(value, field.family, 0)};
    for (unsigned bit = bits; bit < AddressBits(field.family); ++bit) {
      range.last.bytes[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
    }
    Add({*field.kind, negated, {range}, {}, {}, {}, false});
  }

  void Range(const Attributes& a) {
    const Field* field = At(a.number(NFTA_RANGE_SREG));
    const Bytes from = NftDataValue(a.bytes(NFTA_RANGE_FROM_DATA)), to = NftDataValue(a.bytes(NFTA_RANGE_TO_DATA));
    if (field == nullptr || !field->kind || !field->mask.empty() || from.size() != field->width || to.size() != from.size()) {
      return NotUnderstood();
    }
    AddRanges(*field, {{Octets(from.begin(), from.end()), Octets(to.begin(), to.end()), {}, {}}},
              a.number(NFTA_RANGE_OP) == NFT_RANGE_NEQ);
  }

  void Lookup(const Attributes& a) {
    const std::uint32_t from = a.number(NFTA_LOOKUP_SREG);
    const Field* field = At(from);
    const std::string name(a.text(NFTA_LOOKUP_SET));
    const auto found = sets_.find({message_.family, std::string(message_.table), name});
    const NftSetContent* content = found != sets_.end() ? &found->second : nullptr;
    const bool map = a.has(NFTA_LOOKUP_DREG);
    if (map && RegisterSlot(a.number(NFTA_LOOKUP_DREG)) == 16) return VerdictMap(from, content);
    if (map) {
      NotUnderstood("a map of values");
      return Load(a.number(NFTA_LOOKUP_DREG), {});
    }
    const bool negated = (a.number(NFTA_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0;
    if (content == nullptr || field == nullptr) return NotUnderstood("set " + name);
    const std::vector<Field> fields = FieldsOfKey(from, content->key_bytes);
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

  // The fields of the packet that are the key of `key_bytes` which begins in this register; none when one of them is not known.
  std::vector<Field> FieldsOfKey(std::uint32_t number, std::size_t key_bytes) const {
    constexpr std::size_t kSlotBytes = 4;
    std::vector<Field> fields;
    std::size_t slot = RegisterSlot(number);
    for (std::size_t bytes = 0; bytes < key_bytes;) {
      if (slot >= registers_.size()) return {};
      const Field& field = registers_[slot];
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

  // One element of a set or map as what a packet must be; nothing when a field of it has none of the forms that are known.
  std::vector<RuleCondition> ConditionsOf(const std::vector<Field>& fields, const NftSetContent::Element& element) {
    if (fields.size() == 1) return {RangesCondition(fields[0], {element}, false)};
    constexpr std::size_t kSlotBytes = 4;
    std::vector<RuleCondition> conditions;
    std::size_t at = 0;
    for (const Field& field : fields) {
      if (at + field.width > element.first.size()) return {};
      const auto part = [&](const Octets& octets) {
        const auto begin = octets.begin() + static_cast<std::ptrdiff_t>(at);
        return Octets(begin, begin + static_cast<std::ptrdiff_t>(field.width));
      };
      conditions.push_back(RangesCondition(field, {{part(element.first), part(element.last), {}, {}}}, false));
      at += (field.width + kSlotBytes - 1) / kSlotBytes * kSlotBytes;
    }
    return conditions;
  }

  void AddTuples(const std::vector<Field>& fields, const std::vector<NftSetContent::Element>& elements, bool negated) {
    RuleCondition condition{Kind::kTuple, negated, {}, {}, {}, {}, false};
    for (const NftSetContent::Element& element : elements) condition.alternatives.push_back(ConditionsOf(fields, element));
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
    const std::vector<Field> fields = FieldsOfKey(from, content->key_bytes);
    const Field* field = fields.size() == 1 ? &fields[0] : nullptr;
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
        mapped.addresses = AddressRange{AddressOf(element.first, field->family, 0), AddressOf(element.last, field->family, 0)};
      } else if (field != nullptr && (*field->kind == Kind::kInInterface || *field->kind == Kind::kOutInterface)) {
        mapped.interface = std::string(NftText(element.first)) + (element.first != element.last ? "*" : "");
      } else if (field != nullptr && field->width <= 4) {
        mapped.numbers = NumberRange{NumberOf(element.first, field->network_order), NumberOf(element.last, field->network_order)};
      }
      rule_.map.push_back(std::move(mapped));
      mixed = mixed || (only && *only != element.verdict);
      only = element.verdict;
    }
    if (!mixed && (*only == Verdict::kDrop || *only == Verdict::kAccept)) rule_.verdict = *only;
  }

  void Immediate(const Attributes& a) {
    if (RegisterSlot(a.number(NFTA_IMMEDIATE_DREG)) != 16) {
      Field constant;
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

  void ObjectReference(const Attributes& a) {
    const auto type = a.number(NFTA_OBJREF_IMM_TYPE);
    if (type == NFT_OBJECT_COUNTER) rule_.has_counter = true;
    const bool harmless = type == NFT_OBJECT_COUNTER || type == NFT_OBJECT_CT_HELPER || type == NFT_OBJECT_CT_TIMEOUT;
    if (harmless) return;
    NotUnderstood("a named object");  // quotas and limits by name; maps of objects
    rule_.counting_set.clear();
  }

  static RuleLimit ConnectionLimit(const Attributes& a, RuleLimit::Per per) {
    RuleLimit limit;
    limit.kind = RuleLimit::Kind::kNftCtCount;
    limit.per = per;
    limit.connections = a.number(NFTA_CONNLIMIT_COUNT);
    limit.matches_above = (a.number(NFTA_CONNLIMIT_FLAGS) & NFT_CONNLIMIT_F_INV) != 0;
    return limit;
  }

  static RuleLimit RateLimit(const Attributes& a, RuleLimit::Per per) {
    RuleLimit limit;
    limit.kind = RuleLimit::Kind::kLimit;
    limit.per = per;
    const auto unit = std::max<std::uint64_t>(a.wide(NFTA_LIMIT_UNIT), 1);  // seconds
    limit.rate_per_second = static_cast<double>(a.wide(NFTA_LIMIT_RATE)) / static_cast<double>(unit);
    limit.burst = a.number(NFTA_LIMIT_BURST);
    limit.rate_of_bytes = a.number(NFTA_LIMIT_TYPE) == NFT_LIMIT_PKT_BYTES;
    limit.matches_above = (a.number(NFTA_LIMIT_FLAGS) & NFT_LIMIT_F_INV) != 0;
    return limit;
  }

  void DynamicSet(const Attributes& a) {
    const std::string name(a.text(NFTA_DYNSET_SET_NAME));
    const Field* field = At(a.number(NFTA_DYNSET_SREG_KEY));
    SetUpdate update{name, false, false};
    RuleLimit::Per per = RuleLimit::Per::kOther;
    std::uint8_t prefix = 0;
    if (field != nullptr && field->kind && field->loaded == field->width) {
      const auto bits = field->mask.empty() ? std::optional<unsigned>(AddressBits(field->family)) : LeadingBits(field->mask);
      const auto set = sets_.find({message_.family, std::string(message_.table), name});
      const bool alone = set == sets_.end() || set->second.key_bytes == field->width;  // and not one part of several
      if (bits && alone) {
        update.by_source = *field->kind == Kind::kSource;
        update.by_destination = *field->kind == Kind::kDestination;
        prefix = static_cast<std::uint8_t>(*bits);
      }
      if (update.by_source && bits == AddressBits(field->family) && a.number(NFTA_DYNSET_OP) != NFT_DYNSET_OP_DELETE) Counts(name);
      if (update.by_source) per = RuleLimit::Per::kSource;
      if (update.by_destination) per = RuleLimit::Per::kDestination;
    }
    const auto expression = [&](Bytes nest) {
      const auto decoded = DecodeNftExpression(nest);
      if (!decoded || decoded->name != "counter") rule_.counting_set.clear();
      if (!decoded || (decoded->name != "connlimit" && decoded->name != "limit")) return;
      const Attributes inner(decoded->data);
      RuleLimit limit = decoded->name == "limit" ? RateLimit(inner, per) : ConnectionLimit(inner, per);
      limit.set = name;
      if (prefix != 0) (field->family == Family::kIpv4 ? limit.ipv4_prefix : limit.ipv6_prefix) = prefix;
      rule_.limits.push_back(std::move(limit));
    };
    if (a.has(NFTA_DYNSET_EXPR)) expression(a.bytes(NFTA_DYNSET_EXPR));
    AttributeWalk walk(a.bytes(NFTA_DYNSET_EXPRESSIONS));
    for (Attribute item; !a.has(NFTA_DYNSET_EXPR) && walk.Next(item);) expression(item.payload);
    rule_.set_updates.push_back(std::move(update));
  }

  void Log(const Attributes& a) {
    rule_.log_prefix = a.text(NFTA_LOG_PREFIX);
    if (a.has(NFTA_LOG_GROUP)) rule_.nflog_group = static_cast<std::uint16_t>(a.number(NFTA_LOG_GROUP));
    if (rule_.verdict == Verdict::kContinue) rule_.verdict = Verdict::kLog;
  }

  void AddRanges(const Field& field, const std::vector<NftSetContent::Element>& elements, bool negated) {
    Add(RangesCondition(field, elements, negated));
  }

  RuleCondition RangesCondition(const Field& field, const std::vector<NftSetContent::Element>& elements, bool negated) {
    RuleCondition condition{*field.kind, negated, {}, {}, {}, {}, false};
    for (const NftSetContent::Element& element : elements) {
      switch (*field.kind) {
        case Kind::kSource:
        case Kind::kDestination:
          condition.addresses.push_back({AddressOf(element.first, field.family, 0), AddressOf(element.last, field.family, 0)});
          break;
        case Kind::kInInterface:
        case Kind::kOutInterface:
          condition.interfaces.emplace_back(NftText(element.first));
          if (element.first != element.last) condition.interfaces.back() += '*';  // "eth*" is a range of names
          break;
        case Kind::kTcpFlags: condition.numbers.push_back({NumberOf(element.first, true), 0xff}); break;
        case Kind::kMark: {
          if (element.first != element.last) NotUnderstood("a range of marks");
          condition.numbers.push_back({NumberOf(element.first, false), 0xffffffffU});
          break;
        }
        default:
          condition.numbers.push_back({NumberOf(element.first, field.network_order), NumberOf(element.last, field.network_order)});
      }
    }
    if (*field.kind == Kind::kFamily && field.width == 2) {  // EtherTypes: as families
      for (NumberRange& range : condition.numbers) {
        if (range.first != range.last || (range.first != 0x0800 && range.first != 0x86dd)) {
          NotUnderstood("an EtherType");
          break;
        }
        range.first = range.last = range.first == 0x0800 ? NFPROTO_IPV4 : NFPROTO_IPV6;
      }
    }
    return condition;
  }

  // What later loads mean depends on what was asked before them.
  void Add(RuleCondition condition) {
    if (!condition.negated && condition.numbers.size() == 1 && condition.numbers[0].first == condition.numbers[0].last) {
      const std::uint32_t number = condition.numbers[0].first;
      if (condition.kind == Kind::kFamily && number == NFPROTO_IPV4) layer3_ = Family::kIpv4;
      if (condition.kind == Kind::kFamily && number == NFPROTO_IPV6) layer3_ = Family::kIpv6;
      if (condition.kind == Kind::kProtocol) protocol_ = number;
    }
    rule_.conditions.push_back(std::move(condition));
  }

  const NftRule& message_;
  const NftSetContents& sets_;
  Rule rule_;
  std::array<Field, 16> registers_;
  std::string_view step_;   // the expression that is being decoded
  bool maps_ = false;       // a verdict map ends the rule
  bool map_known_ = false;  // and all of its keys are known
  std::optional<Family> layer3_;
  std::optional<std::uint32_t> protocol_;
};

}  // namespace

Verdict VerdictOf(std::int32_t code) {
  switch (code) {
    case NF_DROP: return Verdict::kDrop;
    case NF_ACCEPT: return Verdict::kAccept;
    case NFT_RETURN: return Verdict::kReturn;
    case NFT_JUMP: return Verdict::kJump;
    case NFT_GOTO: return Verdict::kGoto;
    case NFT_CONTINUE: return Verdict::kContinue;
    default: return (code & 0xff) == NF_QUEUE ? Verdict::kQueue : Verdict::kOther;
  }
}

std::vector<NftSetContent::Element> RangesOf(const std::vector<NftElement>& elements, bool intervals) {
  struct Point {
    Octets key;
    const NftElement* element;
  };
  std::vector<Point> points;
  for (const NftElement& element : elements) {
    if (!element.key.empty()) points.push_back({Octets(element.key.begin(), element.key.end()), &element});
  }
  // Where one interval ends and the next begins, the end comes first.
  const auto is_end = [](const Point& point) { return (point.element->flags & NFT_SET_ELEM_INTERVAL_END) != 0; };
  std::sort(points.begin(), points.end(), [&](const Point& a, const Point& b) { return a.key != b.key ? a.key < b.key : is_end(a) && !is_end(b); });
  std::vector<NftSetContent::Element> ranges;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const NftElement& element = *points[i].element;
    if ((element.flags & NFT_SET_ELEM_INTERVAL_END) != 0) continue;
    NftSetContent::Element range{points[i].key, points[i].key, {}, {}};
    if (!element.key_end.empty()) range.last.assign(element.key_end.begin(), element.key_end.end());
    if (intervals && element.key_end.empty()) {
      if (i + 1 < points.size()) {
        range.last = points[i + 1].key;  // the first key beyond it: one less
        for (std::size_t at = range.last.size(); at-- > 0;) {
          range.last[at] = static_cast<std::byte>(std::to_integer<unsigned>(range.last[at]) + 255U);
          if (range.last[at] != std::byte{0xff}) break;
        }
      } else {
        std::fill(range.last.begin(), range.last.end(), std::byte{0xff});
      }
    }
    if (element.verdict) {
      range.verdict = VerdictOf(element.verdict->code);
      range.jump_target = element.verdict->chain;
    }
    if (range.last.size() == range.first.size() && range.first <= range.last) ranges.push_back(std::move(range));
  }
  return ranges;
}

Rule DecodeRule(const NftRule& message, const NftSetContents& sets) { return RuleDecoder(message, sets).Decode(); }

std::string CommentOf(Bytes userdata) {
  // nft's own attributes: a byte of type (0: the comment), a byte of length, text with its NUL.
  while (userdata.size() >= 2) {
    const auto type = std::to_integer<unsigned>(userdata[0]), length = std::to_integer<unsigned>(userdata[1]);
    userdata = userdata.subspan(2);
    if (length > userdata.size()) break;
    if (type == 0) return std::string(NftText(userdata.first(length)));
    userdata = userdata.subspan(length);
  }
  return {};
}

}  // namespace conntally
