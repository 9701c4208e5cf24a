// Formats one log entry as a line, or as an entry of the journal. Pure; any thread.
#pragma once

#include <spdlog/common.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/config.h"
#include "daemon/log/log_fields.h"

namespace conntally {

struct LogEntry {
  std::chrono::system_clock::time_point time;
  spdlog::level::level_enum level = spdlog::level::info;
  std::string_view text;        // may contain arbitrary bytes from outside
  std::uint64_t held_back = 0;  // equal lines that were not written
  LogFields fields = {};
};

// Ends with its only newline: nothing in `text` starts a new line or controls a terminal. As JSON it is one object in
// valid UTF-8.
std::string LogLine(const LogEntry& entry, Config::LogFormat format);

// NAME=value, one field a line, for sd_journal_sendv(3). The journal stores the time, so the message has none, unless
// it is JSON.
std::string JournalEntry(const LogEntry& entry, Config::LogFormat format);

}  // namespace conntally
