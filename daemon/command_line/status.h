// `conntally status`: asks the running daemon for its status. Main thread.
#pragma once

#include <iosfwd>
#include <string>

#include "collectors/system/result.h"
#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// An answer of /api/v1/status as lines of text. The answer may be malformed. Pure; any thread.
Result<std::string> StatusForPeople(const std::string& answer);

// Writes the answer of /api/v1/status to `output`, as text or as the JSON received, and returns 0. If no daemon
// answers, or its answer is malformed, writes a line to `errors` that says what to try, and returns 1.
int ShowStatus(const StatusCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally
