// `conntally top`: a live screen of a running daemon, or one frame of it. Main thread.
#pragma once

#include <iosfwd>

#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// Returns 0 once the user, SIGINT, SIGTERM or SIGHUP has ended it, or the one frame is written. Returns 1 if it cannot
// start or, for one frame, no daemon answers: a line on `errors` says what to try. Blocks these signals in every
// thread.
int ShowTop(const TopCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally
