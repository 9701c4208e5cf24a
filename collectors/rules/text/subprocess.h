// Runs another program and reads its output. It runs in the calling thread's network namespace, with the daemon's
// privileges, without arguments or input. Blocks; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

struct OutputBounds {
  std::size_t bytes_max;
  std::chrono::milliseconds patience;  // after this time it is killed
};

// The standard output of `program` in /usr/sbin, /sbin, /usr/bin or /bin, if it exits with 0. ENOENT: there is no such
// program.
Result<std::string> OutputOf(const std::string& program, const OutputBounds& bounds);

}  // namespace conntally
