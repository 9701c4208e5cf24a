// Which keys of the configuration change only with a restart. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace conntally {

// Those whose values differ, as the file names them. What a flag overrides is the same in both, and is not named.
std::vector<std::string> KeysThatNeedRestart(const Config& running, const Config& wanted);

}  // namespace conntally
