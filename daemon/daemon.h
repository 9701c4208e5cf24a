// The daemon: creates all parts, runs until a signal stops it, and reloads its configuration on SIGHUP. Main thread.
#pragma once

#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// Blocks SIGHUP, SIGINT and SIGTERM in every thread and handles them itself. Returns the process's exit code: 0 after a
// signal to stop, 1 when it could not start.
int RunDaemon(const RunCommand& command);

}  // namespace conntally
