// The configuration that a command runs with: its file, under its flags. Main thread.
#pragma once

#include <variant>
#include <vector>

#include "config/parse.h"
#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// No file at the default place means the defaults; none where one was asked for is a fault.
ConfigOrFaults LoadConfig(const ConfigFile& file, const Overrides& overrides);

}  // namespace conntally
