// The errors that prevent a start, with what to do about them. Any thread.
#pragma once

#include <string>

#include "collectors/system/result.h"

namespace conntally {

// An error if RLIMIT_NOFILE leaves no room beside the collectors' descriptors: the daemon would start, but could not
// accept a client.
Status ExpectRoomForFiles();

std::string ExplainStartFailure(const Error& error);

}  // namespace conntally
