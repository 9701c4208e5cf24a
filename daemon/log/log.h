// Sets up spdlog's default logger: one line an entry on standard error, as text or JSON, and repeated lines held back.
// Setting up: the main thread, first before any other is started, later, at a reload, beside them. Logging: any thread.
#pragma once

#include "config/config.h"

namespace conntally {

// Lines that differ only in their numbers are one line repeated: of those, a few are written each ten seconds, and how many
// were held back.
void ConfigureLog(const Config::Log& log);

}  // namespace conntally
