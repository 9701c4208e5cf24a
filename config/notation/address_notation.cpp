#include "config/notation/address_notation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "config/notation/notation.h"

namespace conntally {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr unsigned kMappedBits = kMapped.size() * 8;

bool IsMapped(const IpAddress& address) {
  return address.family == Family::kIpv6 && std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin());
}

IpAddress Unmapped(const IpAddress& address) {
  IpAddress unmapped;
  std::copy(address.bytes.begin() + kMapped.size(), address.bytes.end(), unmapped.bytes.begin());
  return unmapped;
}

std::optional<unsigned> ParseLength(std::string_view text, Family family) {
  unsigned length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc{} || end != text.data() + text.size() || length > AddressBits(family)) return std::nullopt;
  return length;
}

}  // namespace

Result<IpAddress> ParseAddress(std::string_view text) {
  const auto address = IpAddress::Parse(text);
  if (!address) return Error{Quoted(text) + " is not an address"};
  return IsMapped(*address) ? Unmapped(*address) : *address;
}

Result<Prefix> ParsePrefix(std::string_view text, HostBits host_bits) {
  const std::size_t slash = text.find('/');
  auto address = IpAddress::Parse(text.substr(0, slash));
  if (!address) return Error{Quoted(text) + " does not begin with an IP address"};
  const unsigned bits = AddressBits(address->family);
  auto length = slash == text.npos ? bits : ParseLength(text.substr(slash + 1), address->family);
  if (!length) return Error{Quoted(text) + " has no prefix length from 0 to " + std::to_string(bits)};
  if (IsMapped(*address)) {
    if (*length < kMappedBits) {
      return Error{Quoted(text) + " is an IPv4-mapped address with a prefix length below 96; write the IPv4 prefix"};
    }
    address = Unmapped(*address);
    *length -= kMappedBits;
  }
  const Prefix prefix{Masked(*address, *length), static_cast<std::uint8_t>(*length)};
  if (host_bits == HostBits::kRefused && prefix.address != *address) {
    return Error{Quoted(text) + " has bits set behind its prefix, perhaps " + prefix.ToString() + " was meant"};
  }
  return prefix;
}

}  // namespace conntally
