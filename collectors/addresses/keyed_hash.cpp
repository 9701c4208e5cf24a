#include "collectors/addresses/keyed_hash.h"

#include <sodium.h>

#include <bit>

namespace conntally {

static_assert(crypto_shorthash_siphash24_KEYBYTES == sizeof(KeyedHash::Secret));
static_assert(crypto_shorthash_siphash24_BYTES == sizeof(std::uint64_t));

KeyedHash KeyedHash::WithRandomSecret() {
  Secret secret;
  randombytes_buf(secret.data(), secret.size());
  return KeyedHash(secret);
}

std::uint64_t KeyedHash::operator()(std::span<const std::byte> bytes) const {
  std::array<unsigned char, sizeof(std::uint64_t)> digest;
  crypto_shorthash_siphash24(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                             secret_.data());
  return std::bit_cast<std::uint64_t>(digest);
}

}  // namespace conntally
