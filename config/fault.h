// A fault in a configuration, with its place. A value; any thread.
#pragma once

#include <cstddef>
#include <string>

namespace conntally {

// Lines and columns start at 1; columns count bytes.
struct ConfigFault {
  std::size_t line = 1;
  std::size_t column = 1;
  std::string message;  // what is wrong, and what is allowed
};

}  // namespace conntally
