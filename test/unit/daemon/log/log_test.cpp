#include "daemon/log/log.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <thread>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("a reload keeps the logger that other threads log with, and changes its level") {
  ConfigureLog({.level = Config::LogLevel::kError});
  const spdlog::logger* before = spdlog::default_logger_raw();
  ConfigureLog({.level = Config::LogLevel::kWarning, .format = Config::LogFormat::kJson});
  CHECK(spdlog::default_logger_raw() == before);
  CHECK(spdlog::default_logger_raw()->level() == spdlog::level::warn);
}

// Run under TSan and ASan.
TEST_CASE("other threads may log during a reload") {
  ConfigureLog({.level = Config::LogLevel::kError});
  std::atomic<bool> done = false;
  std::thread logging([&] {
    while (!done.load()) spdlog::info("not written at this level");
  });
  for (int i = 0; i < 1000; ++i) {
    ConfigureLog({.level = Config::LogLevel::kError,
                  .format = i % 2 == 0 ? Config::LogFormat::kJson : Config::LogFormat::kText});
  }
  done = true;
  logging.join();
}
