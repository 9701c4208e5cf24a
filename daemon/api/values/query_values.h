// Query parameters that several API paths share. The error says what is wrong and what is allowed. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "collectors/addresses/address.h"
#include "collectors/system/result.h"

namespace conntally {

inline constexpr std::size_t kLimitMax = 1'000'000;  // rows in one answer
inline constexpr std::size_t kShortRowsMax = 1000;   // longer lists have their own lane

Result<std::size_t> ParseLimit(std::string_view value);  // 1 to kLimitMax
// An address or a prefix. `name` is the parameter's name.
Result<Prefix> ParseWithin(const std::string& name, std::string_view value);

}  // namespace conntally
