// The standard process_* figures, from /proc/self. Any thread; one at a time is enough.
#pragma once

#include "daemon/snapshot.h"

namespace conntally {

// What cannot be read is left 0.
ProcessFigures ReadProcessFigures();

}  // namespace conntally
