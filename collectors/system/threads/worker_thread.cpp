#include "collectors/system/threads/worker_thread.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>

#include <chrono>
#include <new>
#include <system_error>
#include <utility>

namespace conntally {
namespace {

// Less than the 2 s within which the process ends, and long enough that a lasting fault costs nothing.
constexpr std::chrono::seconds kRestartPause{1};

}  // namespace

Status Caught(const std::function<void()>& run) {
  try {
    run();
    return Ok();
  } catch (const std::bad_alloc&) {
    return Error{"out of memory", ENOMEM};  // so short a text allocates nothing
  } catch (const std::system_error& error) {
    return Error{error.what(), error.code().value()};
  } catch (const std::exception& error) {
    return Error{error.what()};
  }
}

void KeepRunning(const char* name, const std::function<void()>& run, const Failed& failed) {
  for (auto ran = Caught(run); !ran; ran = Caught(run)) {
    // Reporting lack of memory may need memory too: then it is reported next time.
    static_cast<void>(Caught([&] {
      if (failed) return failed(ran.error());
      spdlog::error("{}: {}; trying again", name, ran.error().message);
    }));
    std::this_thread::sleep_for(kRestartPause);
  }
}

std::thread StartThread(const char* name, std::function<void()> run, Failed failed) {
  try {
    return std::thread([name, run = std::move(run), failed = std::move(failed)] {
      pthread_setname_np(pthread_self(), name);
      KeepRunning(name, run, failed);
    });
  } catch (const std::system_error& error) {
    throw std::system_error(error.code(), std::string("cannot start the thread '") + name + "'");
  }
}

void Worker::Start(const char* name, Run run, Failed failed) {
  thread_ = StartThread(
      name, [run = std::move(run), stop = stop_.get_token()] { run(stop); }, std::move(failed));
}

void Worker::Stop() {
  stop_.request_stop();
  eventfd_write(stopped_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

FileDescriptor MakeEvent() {
  FileDescriptor event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw std::system_error(errno, std::generic_category(), "cannot make an eventfd");
  return event;
}

}  // namespace conntally
