// Threads of ours: where the system refuses one, the reason is told, and none dies of an exception. Any thread.
#pragma once

#include <functional>
#include <stop_token>
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

// One thread and the one way to end it: Stop is seen by who asks the token, by who waits on a
// std::condition_variable_any with it, and by who waits for sockets, where stop_fd becomes readable. The last member of
// its owner, so that nothing goes before the thread. Start and Stop on the owner's thread.
class Worker {
 public:
  using Run = std::function<void(const std::stop_token&)>;

  Worker() : stopped_(MakeEvent()) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // As StartThread; `run` returns soon after it was told to stop. Once.
  void Start(const char* name, Run run, Failed failed = {});
  // Waits for the end. Again, or without Start: nothing.
  void Stop();

  bool started() const { return thread_.joinable(); }
  int stop_fd() const { return stopped_.get(); }

 private:
  std::stop_source stop_;
  FileDescriptor stopped_;  // an eventfd
  std::thread thread_;
};

}  // namespace conntally
