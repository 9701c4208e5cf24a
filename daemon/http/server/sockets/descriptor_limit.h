// Fits the number of connections to the limit on open files. At start, one thread.
#pragma once

namespace conntally::http {

// Raises the soft limit of RLIMIT_NOFILE, up to the hard one, if `connections_max` needs it, leaving room for the
// daemon's other files. Returns the number of connections that fit, and logs it if that is less.
unsigned FitDescriptorLimit(unsigned connections_max);

}  // namespace conntally::http
