#include "daemon/api/values/timestamp.h"

#include <array>
#include <ctime>

namespace conntally {

std::string Rfc3339(std::chrono::sys_seconds when) {
  const std::time_t seconds = when.time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, sizeof "2026-01-01T00:00:00Z"> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

std::string TwoClocks::Rfc3339(std::chrono::steady_clock::time_point when) const {
  const auto since = std::chrono::duration_cast<std::chrono::system_clock::duration>(steady - when);
  return conntally::Rfc3339(std::chrono::floor<std::chrono::seconds>(wall - since));
}

}  // namespace conntally
