// One log entry as one line, or as an entry of the journal. Pure; any thread.
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
  std::string_view text;        // what comes from outside may be in it, bytes of any kind
  std::uint64_t held_back = 0;  // lines like it that were not written
  LogFields fields = {};
};

// With its newline, and with no other: nothing in `text` begins a line of its own, nor steers a terminal. As JSON it is
// one object, in valid UTF-8.
std::string LogLine(const LogEntry& entry, Config::LogFormat format);

// NAME=value, a field a line, as sd_journal_sendv(3) takes them. The journal keeps the time, so the message has none,
// unless it is JSON.
std::string JournalEntry(const LogEntry& entry, Config::LogFormat format);

}  // namespace conntally
