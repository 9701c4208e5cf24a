// The signals that the daemon acts on, which stay pending until it takes them. Main thread.
#pragma once

#include <signal.h>

#include <chrono>

namespace conntally {

// For this thread and those that it will start, so before any other starts; a write to a closed connection is an error,
// and no signal.
void KeepSignalsPending();

// The next of them (signal(7)), if one comes within this time; else -1. Needs no descriptor.
int TakeSignal(std::chrono::milliseconds at_most);

}  // namespace conntally
