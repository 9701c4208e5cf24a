// User names and passwords: parses basic authentication (RFC 7617), checks bcrypt hashes. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace conntally::http {

struct Login {
  std::string user;
  std::string password;
};

// From an Authorization header; nullopt: another scheme, or malformed.
std::optional<Login> ParseBasicAuth(std::string_view authorization);

// Takes as long as the hash's cost requires, whatever the result.
bool MatchesBcrypt(const std::string& hash, const std::string& password);

}  // namespace conntally::http
