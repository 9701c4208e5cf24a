// Another program's output. It runs in the calling thread's network namespace, with the daemon's privileges, no
// arguments, and nothing to read. Blocks; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

struct OutputBounds {
  std::size_t bytes_max;
  std::chrono::milliseconds patience;  // then it is killed
};

// What `program` of the system's folders (/usr/sbin, /sbin, /usr/bin, /bin) writes to its standard output, if it exits
// with 0. ENOENT: there is no such program.
Result<std::string> OutputOf(const std::string& program, const OutputBounds& bounds);

}  // namespace conntally
