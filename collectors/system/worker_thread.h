// Threads of ours: where the system refuses one, the reason is told, and none dies of an exception. Any thread.
#pragma once

#include <functional>
#include <thread>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/result.h"

namespace conntally {

using Failed = std::function<void(const Error&)>;

// Until `run` returns. When it throws, for want of memory above all, `failed` is told, or by default the log, and `run`
// is called anew a second later.
void KeepRunning(const char* name, const std::function<void()>& run, const Failed& failed = {});

// KeepRunning on a thread of this name, of 15 bytes at most. Throws std::system_error, with what was being done, when
// the system has no thread to give.
std::thread StartThread(const char* name, std::function<void()> run, Failed failed = {});

// An eventfd, to be waited for beside sockets. Throws std::system_error when the system has none to give.
FileDescriptor MakeEvent();

// What `run` throws, as an error.
Status Caught(const std::function<void()>& run);

}  // namespace conntally
