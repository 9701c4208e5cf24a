// Parses the daemon's answer as JSON. Another program may have answered, with anything. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "collectors/system/result.h"

namespace conntally {

// Accepts only documents within the bounds of conntally's own answers, since copying and printing JSON is recursive.
// Any other text is an error of one short line, safe to print on a terminal.
Result<nlohmann::json> ParseAnswer(const std::string& text);

// The error for a document in which a member is missing or of another type.
Error StrangeAnswer(std::string_view why);

}  // namespace conntally
