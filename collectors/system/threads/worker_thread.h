// Threads that report why the system refuses one, and that survive exceptions. Any thread.
#pragma once

#include <functional>
#include <stop_token>
#include <thread>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/result.h"

namespace conntally {

using Failed = std::function<void(const Error&)>;

// Calls `run` until it returns. If it throws, mostly for lack of memory, reports that to `failed`, by default the log,
// and calls `run` again a second later.
void KeepRunning(const char* name, const std::function<void()>& run, const Failed& failed = {});

// KeepRunning on a thread of this name, of at most 15 bytes. Throws std::system_error, with what was being done, if no
// thread can be started.
std::thread StartThread(const char* name, std::function<void()> run, Failed failed = {});

// An eventfd, to wait for together with sockets. Throws std::system_error if none can be created.
FileDescriptor MakeEvent();

// Calls `run`, and returns its exception as an error.
Status Caught(const std::function<void()>& run);

// One thread, and the one way to end it: Stop sets the token, wakes a std::condition_variable_any that waits with it,
// and makes stop_fd readable for a thread that waits for sockets. Make it the last member of its owner, so that it is
// destroyed first. Start and Stop on the owner's thread.
class Worker {
 public:
  using Run = std::function<void(const std::stop_token&)>;

  Worker() : stopped_(MakeEvent()) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Like StartThread; `run` must return soon after a stop. Call it once.
  void Start(const char* name, Run run, Failed failed = {});
  // Stops the thread and waits for its end. Does nothing if called again, or without Start.
  void Stop();

  bool started() const { return thread_.joinable(); }
  int stop_fd() const { return stopped_.get(); }

 private:
  std::stop_source stop_;
  FileDescriptor stopped_;  // an eventfd
  std::thread thread_;
};

}  // namespace conntally
