// Sets up spdlog's default logger: each entry is one line on standard error, as text or JSON, or, where standard error
// is systemd's journal, an entry there with its priority and fields (log_fields.h). Repeated lines are held back. Who
// logs never waits for who reads. Setting up: the main thread, first before any other is started, later, at a reload,
// beside them. Logging: any thread.
#pragma once

#include <cstdint>

#include "config/config.h"
#include "daemon/log/log_fields.h"

namespace conntally {

// Lines that differ only in their numbers are one line repeated: of those, a few are written each ten seconds, and how
// many were held back. Throws std::system_error, with the log usable all the same, when no thread can be started to
// write it.
void ConfigureLog(const Config::Log& log);

// Lines lost since they could not be written: nobody read them, or the disk was full.
std::uint64_t LogLinesLost();

// Waits for what has been logged to be written, half a second at most, should nobody read it.
void DrainLog();

// Logs what ends the process, and ends it. For std::set_terminate.
[[noreturn]] void LogAndAbort();

}  // namespace conntally
