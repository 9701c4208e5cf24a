// The signals that the daemon handles, which stay pending until it takes them. Main thread.
#pragma once

#include <signal.h>

#include <chrono>

namespace conntally {

// Blocks them in this thread and in those that it starts later, so call it first. Also ignores SIGPIPE: a write to a
// closed connection is an error.
void KeepSignalsPending();

// The next pending signal (signal(7)), if one comes within this time; else -1. Needs no descriptor.
int TakeSignal(std::chrono::milliseconds at_most);

}  // namespace conntally
