// IP addresses and prefixes as values. Pure; any thread.
#pragma once

#include <endian.h>

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace conntally {

enum class Family : std::uint8_t { kIpv4, kIpv6 };

constexpr unsigned AddressBits(Family family) { return family == Family::kIpv4 ? 32 : 128; }

// Network byte order. An IPv4 address is in the first 4 bytes and the rest is zero, so that equality and hashing need
// no branch on the family.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  Family family = Family::kIpv4;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  // By bytes, then by family. Compares two numbers, since all who look into a map of addresses wait for it.
  friend std::strong_ordering operator<=>(const IpAddress& a, const IpAddress& b) {
    const auto order = a.Halves() <=> b.Halves();
    return order != 0 ? order : a.family <=> b.family;
  }
  // Its bytes as two numbers, the first ones high.
  std::pair<std::uint64_t, std::uint64_t> Halves() const {
    std::pair<std::uint64_t, std::uint64_t> halves;
    std::memcpy(&halves.first, &bytes[0], 8);
    std::memcpy(&halves.second, &bytes[8], 8);
    return {be64toh(halves.first), be64toh(halves.second)};
  }

  // inet_pton(3)'s notations. nullopt for anything else (host names, zones, spaces).
  static std::optional<IpAddress> Parse(std::string_view text);
  // inet_ntop(3)'s canonical notation (RFC 5952 for IPv6).
  std::string ToString() const;
};

// `address` with every bit after the first `length` cleared.
IpAddress Masked(const IpAddress& address, unsigned length);
// Link-local: fe80::/10 (RFC 4291).
constexpr bool IsOfLinkAlone(const IpAddress& address) {
  return address.family == Family::kIpv6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

// 127.0.0.0/8, ::1.
constexpr bool IsLoopback(const IpAddress& address) {
  if (address.family == Family::kIpv4) return address.bytes[0] == 127;
  return address.bytes[15] == 1 &&
         std::all_of(address.bytes.begin(), address.bytes.end() - 1, [](std::uint8_t byte) { return byte == 0; });
}

// Sources in the same prefix of these lengths are counted together.
struct SourceGrouping {
  std::uint8_t ipv4_prefix = 32;
  std::uint8_t ipv6_prefix = 128;

  std::uint8_t Of(Family family) const { return family == Family::kIpv4 ? ipv4_prefix : ipv6_prefix; }
  IpAddress GroupOf(const IpAddress& source) const { return Masked(source, Of(source.family)); }
};

// A CIDR prefix: `address` has no bit set beyond `length` (0..32 or 0..128).
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;

  friend auto operator<=>(const Prefix&, const Prefix&) = default;

  // "192.0.2.0/24", or a bare address for a full-length prefix. Host bits must be zero: "192.0.2.7/24" is nullopt,
  // since it is ambiguous. For user input use ParsePrefix in config/notation/address_notation.h.
  static std::optional<Prefix> Parse(std::string_view text);
  // "192.0.2.0/24"; a full-length prefix is written as the bare address.
  std::string ToString() const;
  bool Contains(const IpAddress& candidate) const;
};

}  // namespace conntally
