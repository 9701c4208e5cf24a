// Reads a file that somebody named, and so may be anything: a pipe nobody writes to, a device without an end. Any
// thread.
#pragma once

#include <cstddef>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// Whole. /dev/null is an empty file, as people mean it. What else is no regular file, or longer than `bytes_max`, is an
// error, and so is what its file system, over a network perhaps, has not handed over within a second: a thread of its
// own waits for that, and a few such threads at most. The error says why, without the path.
Result<std::string> ReadRegularFile(const std::string& path, std::size_t bytes_max);

}  // namespace conntally
