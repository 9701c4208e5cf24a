#include "collectors/system/threads/guarded.h"

#include <array>
#include <condition_variable>
#include <thread>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("what threads add to guarded data adds up") {
  Guarded<int> sum(1);
  std::array<std::thread, 4> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      for (int i = 0; i < 1000; ++i) ++*sum.Lock();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum.Copy() == 4001);
}

TEST_CASE("who waits with the lock sees what another thread changes") {
  Guarded<bool> done;
  std::condition_variable changed;
  std::thread thread([&] {
    *done.Lock() = true;
    changed.notify_all();
  });
  {
    const auto held = done.Lock();
    changed.wait(held.lock(), [&] { return *held; });
    CHECK(*held);
  }
  thread.join();
}
