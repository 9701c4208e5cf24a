// What answers at the daemon's address, as JSON; it may be anything at all. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "collectors/system/result.h"

namespace conntally {

// A document within bounds that every answer of conntally keeps, so that it may be copied and printed, which is
// recursive. Anything else is an error that says so in one short line, harmless to a terminal.
Result<nlohmann::json> ParseAnswer(const std::string& text);

// The same for a document in which something is missing or of another type.
Error StrangeAnswer(std::string_view why);

}  // namespace conntally
