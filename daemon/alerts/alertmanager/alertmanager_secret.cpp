#include "daemon/alerts/alertmanager/alertmanager_secret.h"

#include "collectors/system/threads/regular_file.h"

namespace conntally {

constexpr std::size_t kSecretBytesMax = 65'536;

Result<std::string> ReadSecret(const std::string& path) {
  auto read = ReadRegularFile(path, kSecretBytesMax);
  if (!read) return Error{"cannot read " + path + ": " + read.error().message};
  std::string& secret = *read;
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.empty()) return Error{path + " is empty"};
  if (secret.find_first_of("\r\n") != secret.npos) return Error{path + " has more than one line"};
  return secret;
}

}  // namespace conntally
