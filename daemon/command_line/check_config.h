// `conntally check-config`. Reads the file, and the web configuration that it or the flag names, and writes to the
// streams it is given; any thread.
#pragma once

#include <iosfwd>

#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// 0 and `OK` on `output`, or 1 and "FILE:LINE:COLUMN: what is wrong, what is allowed" on `errors`, a line for
// every fault. A file that cannot be read is such a fault.
int CheckConfig(const CheckConfigCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally
