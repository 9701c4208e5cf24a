#include "daemon/http/access/password.h"

#include <crypt.h>
#include <sodium.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace conntally::http {
namespace {

constexpr std::size_t kHashBytes = 60;

}  // namespace

std::optional<Login> ParseBasicAuth(std::string_view authorization) {
  constexpr std::string_view kScheme = "basic ";
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  if (authorization.size() < kScheme.size() ||
      !std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, same)) {
    return std::nullopt;
  }
  authorization.remove_prefix(kScheme.size());
  std::string plain(authorization.size(), '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  const int code = sodium_base642bin(reinterpret_cast<unsigned char*>(plain.data()), plain.size(), authorization.data(),
                                     authorization.size(), nullptr, &size, &end, sodium_base64_VARIANT_ORIGINAL);
  if (code != 0 || end != authorization.data() + authorization.size()) return std::nullopt;
  plain.resize(size);
  const std::size_t colon = plain.find(':');
  if (colon == plain.npos) return std::nullopt;
  return Login{plain.substr(0, colon), plain.substr(colon + 1)};
}

bool MatchesBcrypt(const std::string& hash, const std::string& password) {
  // Go ignores the letter after the 2; libcrypt does not. It is one letter or none.
  const std::string canonical = "$2y" + hash.substr(hash[2] == '$' ? 2 : 3);
  const auto data = std::make_unique<crypt_data>();
  const char* computed = crypt_r(password.c_str(), canonical.c_str(), data.get());
  // libcrypt stops at a NUL: a password with one must not match by its beginning.
  const bool is_whole = password.find('\0') == password.npos;
  if (computed == nullptr || std::string_view(computed).size() != kHashBytes || canonical.size() != kHashBytes)
    return false;
  return sodium_memcmp(computed, canonical.data(), kHashBytes) == 0 && is_whole;
}

}  // namespace conntally::http
