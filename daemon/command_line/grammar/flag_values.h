// Parses the values of flags. On failure `problem` says what is wrong and what is allowed. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collectors/addresses/address.h"

namespace conntally {

std::optional<IpAddress> ReadAddress(std::string_view flag, const std::string& text, std::string& problem);
// A decimal number from `least` to `most`, and nothing else.
std::optional<std::uint64_t> ReadNumber(const std::string& text, std::uint64_t least, std::uint64_t most);
// An IP protocol, by name in any case or by number.
std::optional<std::uint8_t> ReadProtocol(const std::string& text, std::string& problem);

}  // namespace conntally
