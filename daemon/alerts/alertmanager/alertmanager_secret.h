// Reads a password or token from its file. Any thread.
#pragma once

#include <string>

#include "collectors/system/result.h"

namespace conntally {

// Without the trailing newline that editors leave.
Result<std::string> ReadSecret(const std::string& path);

}  // namespace conntally
