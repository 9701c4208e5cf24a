// Why the process cannot start, and what to do about it. Any thread.
#pragma once

#include <string>

#include "collectors/system/result.h"

namespace conntally {

// With fewer files than the collectors keep open it could start, and not even accept who asks how it is.
Status ExpectRoomForFiles();

std::string ExplainStartFailure(const Error& error);

}  // namespace conntally
