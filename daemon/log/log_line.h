// One log entry as one line. Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/config.h"

namespace conntally {

struct LogEntry {
  std::chrono::system_clock::time_point time;
  std::string_view level;
  std::string_view text;        // what comes from outside may be in it, bytes of any kind
  std::uint64_t held_back = 0;  // lines like it that were not written
};

// With its newline, and with no other: nothing in `text` begins a line of its own, nor steers a terminal. As JSON it is
// one object, in valid UTF-8.
std::string LogLine(const LogEntry& entry, Config::LogFormat format);

}  // namespace conntally
