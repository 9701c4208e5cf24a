// Parameters that several questions to the API have. The error says what is wrong and what is allowed. Pure;
// any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "collectors/addresses/address.h"
#include "collectors/system/result.h"

namespace conntally {

inline constexpr std::size_t kLimitMax = 1'000'000;  // rows that may be asked for
inline constexpr std::size_t kShortRowsMax = 1000;   // a longer list must not keep short ones waiting

Result<std::size_t> ParseLimit(std::string_view value);  // 1 to kLimitMax
// An address, or all of a prefix. `name` is the parameter's.
Result<Prefix> ParseWithin(const std::string& name, std::string_view value);

}  // namespace conntally
