#include "collectors/addresses/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace conntally {
namespace {

int SocketFamily(Family family) { return family == Family::kIpv4 ? AF_INET : AF_INET6; }

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != text.npos) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated.begin());
  IpAddress address;
  address.family = text.find(':') == text.npos ? Family::kIpv4 : Family::kIpv6;
  if (inet_pton(SocketFamily(address.family), terminated.data(), address.bytes.data()) != 1) return std::nullopt;
  return address;
}

std::string IpAddress::ToString() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(SocketFamily(family), bytes.data(), text.data(), text.size());
  return text.data();
}

IpAddress Masked(const IpAddress& address, unsigned length) {
  IpAddress masked = address;
  for (unsigned i = 0; i < masked.bytes.size(); ++i) {
    const unsigned kept_bits = length <= i * 8 ? 0 : std::min(length - i * 8, 8U);
    masked.bytes[i] = static_cast<std::uint8_t>(masked.bytes[i] & (0xFF00U >> kept_bits));
  }
  return masked;
}

std::optional<Prefix> Prefix::Parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = IpAddress::Parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned length = AddressBits(address->family);
  if (slash != text.npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    if (length > AddressBits(address->family) || Masked(*address, length) != *address) return std::nullopt;
  }
  return Prefix{*address, static_cast<std::uint8_t>(length)};
}

std::string Prefix::ToString() const {
  if (length == AddressBits(address.family)) return address.ToString();
  return address.ToString() + "/" + std::to_string(length);
}

bool Prefix::Contains(const IpAddress& candidate) const {
  return candidate.family == address.family && Masked(candidate, length) == address;
}

}  // namespace conntally
