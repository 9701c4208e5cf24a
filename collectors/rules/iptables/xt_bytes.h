// Reads the structures of xtables' matches and targets from bytes that may be truncated. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

#include "collectors/addresses/address.h"
#include "collectors/netlink/attributes.h"

namespace conntally {

// nullopt if there are too few bytes.
template <typename T>
std::optional<T> ReadXt(Bytes info) {
  if (info.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, info.data(), sizeof value);
  return value;
}

// The text up to its NUL, if it has one.
template <std::size_t kSize>
std::string XtText(const char (&text)[kSize]) {
  return std::string(text, strnlen(text, kSize));
}

// From an in_addr, an in6_addr, or a union of both.
inline IpAddress XtAddress(const void* raw, Family family) {
  IpAddress address;
  address.family = family;
  std::memcpy(address.bytes.data(), raw, AddressBits(family) / 8);
  return address;
}

}  // namespace conntally
