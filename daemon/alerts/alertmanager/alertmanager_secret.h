// A password or token that stands in a file of its own. Any thread.
#pragma once

#include <string>

#include "collectors/system/result.h"

namespace conntally {

// Without the line's end that editors leave.
Result<std::string> ReadSecret(const std::string& path);

}  // namespace conntally
