#include "collectors/system/worker_thread.h"

#include <pthread.h>

#include <array>
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
