#include "collectors/system/threads/worker_thread.h"

#include <poll.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("what is thrown becomes an error that says why") {
  CHECK(Caught([] {}));
  const auto memory = Caught([] { throw std::bad_alloc(); });
  CHECK(memory.error().message == "out of memory");
  CHECK(memory.error().code == ENOMEM);
  const auto files = Caught([] { throw std::system_error(EMFILE, std::generic_category(), "cannot make it"); });
  CHECK(files.error().message == "cannot make it: Too many open files");
  CHECK(files.error().code == EMFILE);
  CHECK(Caught([] { throw std::runtime_error("no"); }).error().message == "no");
}

TEST_CASE("a thread that throws is told of, and goes on") {
  int runs = 0;
  std::vector<Error> told;
  std::string name;
  const auto run = [&] {
    std::array<char, 16> of_thread{};
    pthread_getname_np(pthread_self(), of_thread.data(), of_thread.size());
    name = of_thread.data();
    if (++runs == 1) throw std::bad_alloc();
  };
  StartThread("worker", run, [&](const Error& error) { told.push_back(error); }).join();
  CHECK(runs == 2);
  CHECK(name == "worker");
  REQUIRE(told.size() == 1);
  CHECK(told.front().code == ENOMEM);
}

TEST_CASE("a thread goes on also when telling of its failure fails") {
  int runs = 0;
  const auto run = [&] {
    if (++runs == 1) throw std::bad_alloc();
  };
  StartThread("worker", run, [](const Error&) { throw std::bad_alloc(); }).join();
  CHECK(runs == 2);
}

TEST_CASE("a worker is told to stop in each way that it may wait") {
  using namespace std::chrono_literals;
  const auto asks = [](const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
  };
  std::mutex mutex;
  std::condition_variable_any changed;
  const auto waits = [&](const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    changed.wait(lock, stop, [] { return false; });
  };
  Worker polling;
  const auto polls = [&](const std::stop_token&) {
    pollfd ready{polling.stop_fd(), POLLIN, 0};
    poll(&ready, 1, -1);
  };
  Worker asking, waiting;
  asking.Start("asks", asks);
  waiting.Start("waits", waits);
  polling.Start("polls", polls);
  for (Worker* worker : {&asking, &waiting, &polling}) {
    CHECK(worker->started());
    worker->Stop();
    CHECK_FALSE(worker->started());
    worker->Stop();
  }
}

TEST_CASE("a worker that was never started stops, and one that throws is run anew with the same token") {
  Worker().Stop();
  std::atomic<int> runs{0};
  Worker worker;
  worker.Start(
      "worker",
      [&](const std::stop_token& stop) {
        if (++runs == 1) throw std::bad_alloc();
        while (!stop.stop_requested()) std::this_thread::yield();
      },
      [](const Error&) {});
  while (runs < 2) std::this_thread::yield();
  worker.Stop();
  CHECK(runs == 2);
}
