#include "daemon/log/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "daemon/log/log_line.h"
#include "daemon/log/repeat_limit.h"

namespace conntally {
namespace {

constexpr unsigned kRepetitionsWritten = 20;  // of a line, in RepeatLimit::kPause

class LogSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogSink(Config::LogFormat format) : format_(format) {}
  void set_format(Config::LogFormat format) { format_.store(format, std::memory_order_relaxed); }

 private:
  void sink_it_(const spdlog::details::log_msg& entry) override {
    const std::string_view text(entry.payload.data(), entry.payload.size());
    const RepeatLimit::Verdict verdict = limit_.Judge(text, entry.time);
    if (!verdict.write) return;
    const auto level = spdlog::level::to_string_view(entry.level);
    const std::string line = LogLine({entry.time, {level.data(), level.size()}, text, verdict.held_back},
                                     format_.load(std::memory_order_relaxed));
    std::fwrite(line.data(), 1, line.size(), stderr);
  }

  void flush_() override { std::fflush(stderr); }

  std::atomic<Config::LogFormat> format_;
  RepeatLimit limit_{kRepetitionsWritten};
};

spdlog::level::level_enum LevelOf(Config::LogLevel level) {
  switch (level) {
    case Config::LogLevel::kDebug: return spdlog::level::debug;
    case Config::LogLevel::kInfo: return spdlog::level::info;
    case Config::LogLevel::kWarning: return spdlog::level::warn;
    case Config::LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void ConfigureLog(const Config::Log& log) {
  // spdlog's default logger may not be replaced while other threads log, so after the first time it stays, and
  // what may change in it is atomic.
  const std::shared_ptr<spdlog::logger> running = spdlog::default_logger();
  const bool is_ours = running && !running->sinks().empty();
  if (auto sink = is_ours ? std::dynamic_pointer_cast<LogSink>(running->sinks().front()) : nullptr) {
    sink->set_format(log.format);
    running->set_level(LevelOf(log.level));
    return;
  }
  auto logger = std::make_shared<spdlog::logger>("conntally", std::make_shared<LogSink>(log.format));
  logger->set_level(LevelOf(log.level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace conntally
