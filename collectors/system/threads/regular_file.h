// Reads a file that a user named and that may be anything: a pipe without a writer, an endless device. Any thread.
#pragma once

#include <cstddef>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// The whole file. /dev/null counts as an empty file. An error if it is not a regular file, longer than `bytes_max`, or
// if its file system, perhaps over a network, does not deliver it within a second; a separate thread waits for that,
// and there are only a few such threads. The error says why, without the path.
Result<std::string> ReadRegularFile(const std::string& path, std::size_t bytes_max);

}  // namespace conntally
