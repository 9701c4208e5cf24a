// The configuration that a command runs with: its file, overridden by its flags. Main thread.
#pragma once

#include <variant>
#include <vector>

#include "config/parse.h"
#include "daemon/command_line/grammar/command_line.h"

namespace conntally {

// If there is no file at the default path, the defaults apply. If a flag names a file that does not exist, that is a
// fault.
ConfigOrFaults LoadConfig(const ConfigFile& file, const Overrides& overrides);

}  // namespace conntally
