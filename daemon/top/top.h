// `conntally top`: the live screen of a running daemon, or one frame of it. Main thread.
#pragma once

#include <iosfwd>

#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// 0 once the person, SIGINT, SIGTERM or SIGHUP has ended it, or the one frame is written; 1 when it cannot begin, or,
// for one frame, no daemon answers: a line on `errors` says what to try. Blocks these signals for every thread.
int ShowTop(const TopCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally
