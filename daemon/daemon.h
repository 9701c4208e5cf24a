// The daemon: puts the parts together, runs until it is told to stop, and reloads its configuration on SIGHUP.
// Main thread.
#pragma once

#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// Blocks SIGHUP, SIGINT and SIGTERM for every thread and takes them itself. Returns the process's exit code: 0 after a
// signal to stop, 1 when it could not start.
int RunDaemon(const RunCommand& command);

}  // namespace conntally
