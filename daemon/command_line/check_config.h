// `conntally check-config`. Reads the file and its web configuration, and writes to the given streams. Any thread.
#pragma once

#include <iosfwd>

#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// Returns 0 and writes `OK` to `output`, or returns 1 and writes "FILE:LINE:COLUMN: what is wrong, what is allowed" to
// `errors`, one line per fault. A file that cannot be read is a fault too.
int CheckConfig(const CheckConfigCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally
