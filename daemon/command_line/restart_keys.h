// Which keys of the configuration take effect only after a restart. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace conntally {

// The keys whose values differ, by their names in the file. A key that a flag overrides is equal in both, so it is not
// listed.
std::vector<std::string> KeysThatNeedRestart(const Config& running, const Config& wanted);

}  // namespace conntally
