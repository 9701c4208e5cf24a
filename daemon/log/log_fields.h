// The fields of a log line: SOURCE=, RULE=, ALERT= and COLLECTOR= in the journal, the same keys in lower case if
// log.format is json. Text lines have no fields. Any thread.
#pragma once

#include <spdlog/common.h>

#include <string>
#include <string_view>

namespace conntally {

// An empty field is omitted.
struct LogFields {
  std::string source = {};
  std::string rule = {};
  std::string alert = {};
  std::string collector = {};
};

// Like spdlog::log, with these fields.
void LogWith(const LogFields& fields, spdlog::level::level_enum level, std::string_view text);

}  // namespace conntally
