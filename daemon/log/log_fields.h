// A line of the log that says what it is about: the fields SOURCE=, RULE=, ALERT= and COLLECTOR= of the journal, and
// the same keys in small letters where log.format is json. A text line has none: its text says it. Any thread.
#pragma once

#include <spdlog/common.h>

#include <string>
#include <string_view>

namespace conntally {

// An empty one is absent.
struct LogFields {
  std::string source = {};
  std::string rule = {};
  std::string alert = {};
  std::string collector = {};
};

// As spdlog::log, with these fields.
void LogWith(const LogFields& fields, spdlog::level::level_enum level, std::string_view text);

}  // namespace conntally
