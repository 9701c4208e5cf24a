// Names and passwords, as basic authentication carries them (RFC 7617) and as bcrypt keeps them. Pure; any thread.
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

// Of an Authorization header; nullopt: it is of another kind, or malformed.
std::optional<Login> ParseBasicAuth(std::string_view authorization);

// Takes as long as the hash's cost says, whatever the answer is.
bool MatchesBcrypt(const std::string& hash, const std::string& password);

}  // namespace conntally::http
