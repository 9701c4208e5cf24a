// What the expressions of an nftables rule load into registers: fields of the packet and constants, and how to read
// their bytes. Pure; any thread.
//
// Source: linux/netfilter/nf_tables.h; net/netfilter/nft_meta.c, nft_payload.c, nft_ct.c, nft_fib.c.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "collectors/rules/nft/messages/nft_messages.h"
#include "collectors/rules/rule_condition.h"

namespace conntally {

// The attributes NFTA_* of one expression, by type.
class NftAttributes {
 public:
  explicit NftAttributes(Bytes bytes) {
    AttributeWalk walk(bytes);
    for (Attribute attribute; walk.Next(attribute);) {
      if (attribute.type < fields_.size()) fields_[attribute.type] = attribute;
    }
  }
  bool has(int type) const { return fields_[Index(type)].type != 0; }
  Bytes bytes(int type) const { return fields_[Index(type)].payload; }
  std::uint32_t number(int type) const { return static_cast<std::uint32_t>(wide(type)); }
  std::uint64_t wide(int type) const { return AttributeNumber(bytes(type)).value_or(0); }
  std::string_view text(int type) const { return AttributeText(bytes(type)); }

 private:
  static std::size_t Index(int type) { return static_cast<std::size_t>(type); }
  std::array<Attribute, 24> fields_{};
};

// What a register holds.
struct NftField {
  std::optional<RuleCondition::Kind> kind;  // nullopt: not decoded
  bool network_order = true;                // else host order
  Family family = Family::kIpv4;            // of addresses
  std::size_t width = 0;                    // of the whole field, in bytes
  std::size_t loaded = 0;                   // of the part in the register
  std::vector<std::byte> mask;              // empty: none
  std::vector<NftField> parts;              // fields loaded side by side
  std::vector<std::byte> value;             // of a constant
  bool looked_up = false;                   // it is from a map of values
  std::string_view what;                    // the expression that loaded it
};

// What earlier conditions of a rule say about the packet's headers; the meaning of later loads depends on it.
struct NftHeaders {
  std::optional<Family> layer3;
  std::optional<std::uint32_t> protocol;
};

// The field that an expression loads into its register; without a kind if unknown.
NftField MetaField(const NftAttributes& a);
NftField PayloadField(const NftAttributes& a, const NftHeaders& headers);
NftField ConntrackField(const NftAttributes& a);
NftField RoutingField(const NftAttributes& a);  // of `fib`: a route look-up for an address of the packet

// The first 4 B slot of a register, by its number; kNftVerdictSlot for the verdict register and for invalid numbers.
inline constexpr std::size_t kNftVerdictSlot = 16;
std::size_t NftRegisterSlot(std::uint32_t number);

// The first 4 B, or fewer, as a number.
std::uint32_t NumberOf(Bytes value, bool network_order);
// An address that may be truncated; missing bytes are 0.
IpAddress AddressOf(Bytes value, Family family);
// The number of leading bits of a mask; nullopt if it is not contiguous.
std::optional<unsigned> LeadingBits(Bytes mask);

}  // namespace conntally
