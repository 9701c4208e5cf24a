// Sets up spdlog's default logger: each entry is one line on standard error, as text or JSON, or, where standard error
// is systemd's journal, an entry there with its priority and fields (log_fields.h). Repeated lines are held back.
// Logging never waits for the reader. ConfigureLog: the main thread, first before other threads start, later at each
// reload. Logging: any thread.
#pragma once

#include <cstdint>

#include "config/config.h"
#include "daemon/log/log_fields.h"

namespace conntally {

// Lines that differ only in numbers count as one repeated line: every ten seconds a few of them are written, with how
// many were held back. Throws std::system_error if the writing thread cannot be started; the log still works then.
void ConfigureLog(const Config::Log& log);

// Lines lost because they could not be written: nobody read them, or the disk was full.
std::uint64_t LogLinesLost();

// Waits until all logged lines are written, at most half a second.
void DrainLog();

// Logs the reason, and aborts. For std::set_terminate.
[[noreturn]] void LogAndAbort();

}  // namespace conntally
