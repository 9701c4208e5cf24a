// The signals that the daemon acts on: it waits for them by a descriptor (signalfd(2)). Main thread, before any other
// starts.
#pragma once

#include <signal.h>

namespace conntally {

sigset_t OurSignals();
// For this thread and those that it will start; a write to a closed connection is an error, and no signal.
void KeepSignalsPending();

}  // namespace conntally
