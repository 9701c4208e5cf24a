// The standard process_* figures, from /proc/self. Any thread; one at a time is enough.
#pragma once

#include <cstdint>

namespace conntally {

struct ProcessFigures {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // since the epoch
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
  std::uint64_t threads = 0;
};

// A figure that cannot be read stays 0.
ProcessFigures ReadProcessFigures();

}  // namespace conntally
