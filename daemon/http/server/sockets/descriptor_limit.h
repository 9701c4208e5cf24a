// Whether the process may open as many files as the server is to hold connections. Start-up, one thread.
#pragma once

namespace conntally::http {

// Raises RLIMIT_NOFILE's soft limit as far as its hard one if `connections_max` needs that, leaving room for
// the daemon's other files. Returns the number of connections that fit, logging it when that is less.
unsigned FitDescriptorLimit(unsigned connections_max);

}  // namespace conntally::http
