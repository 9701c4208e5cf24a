// Reads fields of packet headers at their places on the wire. Pure; the caller has checked that there are enough bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "collectors/addresses/address.h"
#include "collectors/netlink/attributes.h"

namespace conntally {

inline constexpr std::size_t kIcmpHeaderBytes = 8;
inline constexpr std::uint8_t kTooLong4 = 4;  // ICMP code: ICMP_FRAG_NEEDED

inline std::uint8_t Octet(Bytes bytes, std::size_t at) { return std::to_integer<std::uint8_t>(bytes[at]); }

inline IpAddress AddressAt(Bytes bytes, std::size_t at, Family family) {
  IpAddress address;
  address.family = family;
  std::memcpy(address.bytes.data(), bytes.data() + at, AddressBits(family) / 8);
  return address;
}

}  // namespace conntally
