// SipHash-2-4 (Aumasson, Bernstein 2012) with a secret key of this process, so that a sender who chooses addresses and
// ports cannot cause collisions. Immutable; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace conntally {

class KeyedHash {
 public:
  using Secret = std::array<std::uint8_t, 16>;

  explicit KeyedHash(const Secret& secret) : secret_(secret) {}
  static KeyedHash WithRandomSecret();

  std::uint64_t operator()(std::span<const std::byte> bytes) const;

 private:
  Secret secret_;
};

}  // namespace conntally
