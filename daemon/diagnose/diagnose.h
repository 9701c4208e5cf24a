// `conntally diagnose`: looks at this host, and at what a running daemon knows, and says why traffic is refused or
// lost. Changes nothing. Main thread.
#pragma once

#include <iosfwd>

#include "daemon/command_line/grammar/command_line.h"

namespace conntally::diagnose {

// 0: nothing found. 1: a finding. 2: could not look, or not at what matters.
int Diagnose(const DiagnoseCommand& command, std::ostream& output, std::ostream& errors);

}  // namespace conntally::diagnose
