// `conntally status`: asks the running daemon how it stands. Main thread.
#pragma once

#include <iosfwd>
#include <string>

#include "collectors/system/result.h"
#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// An answer of /api/v1/status, which may be anything at all, as lines. Pure; any thread.
Result<std::string> StatusForPeople(const std::string& answer);

// The answer of /api/v1/status on `output`, for people or as it came; 0. No daemon, or no sense in its answer: a line
// on `errors` that says what to try; 1.
int ShowStatus(const StatusCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally
