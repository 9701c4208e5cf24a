// `conntally diagnose`: examines this host and a running daemon's figures, and says why traffic is refused or lost.
// Changes nothing. Main thread.
#pragma once

#include <iosfwd>

#include "daemon/command_line/grammar/command_line.h"

namespace conntally::diagnose {

// 0: nothing found. 1: a finding. 2: it could not examine the host, or not the essential parts.
int Diagnose(const DiagnoseCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally::diagnose
