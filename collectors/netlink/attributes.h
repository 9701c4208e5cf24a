// A walk over netlink attributes, and loads from their payloads. Pure functions of bytes: no
// allocation, no alignment asked for, nothing read outside the span. Any thread.
//
// Source: linux/netlink.h (struct nlattr); net/netlink/attr.c, nla_ok(). Unlike the kernel's lax
// parsers this walk tells bytes that are no attribute from a clean end.
#pragma once

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

// A payload that is text: up to its NUL.
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
  std::uint16_t type = 0;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER, which conntrack does not set
                           // alike in all versions
  Bytes payload;
};

// The attributes of a message or of a nest, in their order:
//
//   AttributeWalk walk(bytes);
//   for (Attribute attribute; walk.Next(attribute);) ...
//   if (walk.malformed()) ...
class AttributeWalk {
 public:
  constexpr explicit AttributeWalk(Bytes bytes) : rest_(bytes) {}

  // False at the end, and at the first attribute that cannot be one.
  constexpr bool Next(Attribute& attribute) {
    if (rest_.empty()) return false;
    if (rest_.size() < kHeaderBytes) return Stop();
    const std::size_t length = LoadHostOrder<std::uint16_t>(rest_);
    if (length < kHeaderBytes || length > rest_.size()) return Stop();
    attribute.type = LoadHostOrder<std::uint16_t>(rest_.subspan(2)) & kTypeMask;
    attribute.payload = rest_.subspan(kHeaderBytes, length - kHeaderBytes);
    // The padding after the last attribute may be missing: its length does not count it.
    rest_ = rest_.subspan(std::min((length + 3) & ~std::size_t{3}, rest_.size()));
    return true;
  }

  // Whether the walk ended before bytes that are no attribute.
  constexpr bool malformed() const { return malformed_; }

 private:
  static constexpr std::size_t kHeaderBytes = 4;
  static constexpr std::uint16_t kTypeMask = 0x3fff;

  constexpr bool Stop() {
    malformed_ = true;
    return false;
  }

  Bytes rest_;
  bool malformed_ = false;
};

}  // namespace conntally
