#include "daemon/api/values/query_values.h"

#include <charconv>

#include "config/notation/address_notation.h"

namespace conntally {

Result<std::size_t> ParseLimit(std::string_view value) {
  std::size_t limit = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), limit);
  const bool whole = error == std::errc{} && end == value.data() + value.size();
  if (!whole || limit < 1 || limit > kLimitMax) return Error{"limit is a number from 1 to 1000000"};
  return limit;
}

Result<Prefix> ParseWithin(const std::string& name, std::string_view value) {
  auto within = ParsePrefix(value, HostBits::kRefused);
  if (within) return within;
  return Error{name + " is an address, or a prefix without host bits such as 192.0.2.0/24; " + within.error().message};
}

}  // namespace conntally
