// A walk over netlink attributes, and loads from their payloads. Pure functions of bytes: no allocation, nothing read
// outside the span. Any thread.
//
// Source: linux/netlink.h (struct nlattr); net/netlink/attr.c, nla_ok().
#pragma once

#include <libmnl/libmnl.h>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace conntally {

using Bytes = std::span<const std::byte>;

constexpr std::size_t Aligned(std::size_t bytes) { return (bytes + 3) & ~std::size_t{3}; }  // NLMSG_ALIGN, NLA_ALIGN

// Netlink headers are in the host's byte order. `bytes` holds sizeof(T) bytes or more.
template <std::unsigned_integral T>
constexpr T LoadHostOrder(Bytes bytes) {
  std::array<std::byte, sizeof(T)> raw{};
  std::copy_n(bytes.begin(), sizeof(T), raw.begin());
  return std::bit_cast<T>(raw);
}

// Netfilter's payloads are in network byte order. `bytes` holds sizeof(T) bytes or more.
template <std::unsigned_integral T>
constexpr T LoadNetworkOrder(Bytes bytes) {
  const T value = LoadHostOrder<T>(bytes);
  if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

// A text payload, up to its NUL.
inline std::string_view AttributeText(Bytes payload) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  return text.substr(0, text.find('\0'));
}

// A number in network order of the payload's width (1, 2, 4, 8 bytes), else nullopt.
constexpr std::optional<std::uint64_t> AttributeNumber(Bytes payload) {
  switch (payload.size()) {
    case 1: return LoadNetworkOrder<std::uint8_t>(payload);
    case 2: return LoadNetworkOrder<std::uint16_t>(payload);
    case 4: return LoadNetworkOrder<std::uint32_t>(payload);
    case 8: return LoadNetworkOrder<std::uint64_t>(payload);
    default: return std::nullopt;
  }
}

struct Attribute {
  std::uint16_t type = 0;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER, which conntrack sets only in some versions
  Bytes payload;
};

// Walks the attributes of a message or a nest, in order:
//
//   AttributeWalk walk(bytes);
//   for (Attribute attribute; walk.Next(attribute);) ...
//   if (walk.malformed()) ...
//
// libmnl reads them. Its own loops do not distinguish the end from malformed bytes; this one does.
class AttributeWalk {
 public:
  explicit AttributeWalk(Bytes bytes) : rest_(bytes) {}

  // False at the end, and at the first malformed attribute.
  bool Next(Attribute& attribute) {
    if (rest_.empty()) return false;
    const auto* here = static_cast<const nlattr*>(static_cast<const void*>(rest_.data()));
    malformed_ = !mnl_attr_ok(here, static_cast<int>(rest_.size()));
    if (malformed_) return false;
    attribute.type = mnl_attr_get_type(here);
    attribute.payload = {static_cast<const std::byte*>(mnl_attr_get_payload(here)), mnl_attr_get_payload_len(here)};
    // The padding after the last attribute may be missing: its length does not count it.
    rest_ = rest_.subspan(std::min(Aligned(mnl_attr_get_len(here)), rest_.size()));
    return true;
  }

  std::size_t rest_bytes() const { return rest_.size(); }  // not walked yet

  // Whether the walk ended at bytes that are not an attribute.
  bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

}  // namespace conntally
