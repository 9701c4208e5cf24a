#include "daemon/log/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "collectors/system/threads/worker_thread.h"
#include "daemon/log/journal.h"
#include "daemon/log/line_writer.h"
#include "daemon/log/log_line.h"
#include "daemon/log/repeat_limit.h"

namespace conntally {
namespace {

constexpr unsigned kRepetitionsWritten = 20;  // of one line, per RepeatLimit::kPause
constexpr std::chrono::milliseconds kDrainMax{500};

// The fields of the line that this thread is logging: spdlog has no fields, and calls the sink on the same thread.
thread_local const LogFields* fields_of_this_line = nullptr;

class LogSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogSink(Config::LogFormat format) : format_(format) {}
  void set_format(Config::LogFormat format) { format_.store(format, std::memory_order_relaxed); }
  LineWriter& writer() { return writer_; }

 private:
  void sink_it_(const spdlog::details::log_msg& entry) override {
    const std::string_view text(entry.payload.data(), entry.payload.size());
    const RepeatLimit::Verdict verdict = limit_.Judge(text, entry.time);
    if (!verdict.write) return;
    LogEntry line{entry.time, entry.level, text, verdict.held_back};
    if (fields_of_this_line != nullptr) line.fields = *fields_of_this_line;
    const std::uint64_t lost = writer_.lost();
    if (lost != lost_told_ && !TellLosses(lost, entry.time)) return;
    writer_.Push(Written(line));
  }

  void flush_() override {}

  // Reports losses at their place in the log. False if there is no room for that either.
  bool TellLosses(std::uint64_t lost, std::chrono::system_clock::time_point time) {
    const std::string text = fmt::format("{} lines of this log could not be written so far", lost);
    if (!writer_.Push(Written({time, spdlog::level::warn, text}))) return false;
    lost_told_ = lost;
    return true;
  }

  std::string Written(const LogEntry& entry) const {
    const Config::LogFormat format = format_.load(std::memory_order_relaxed);
    return journal_ ? JournalEntry(entry, format) : LogLine(entry, format);
  }

  std::atomic<Config::LogFormat> format_;
  RepeatLimit limit_{kRepetitionsWritten};
  std::uint64_t lost_told_ = 0;
  const bool journal_ = IsJournalStream(std::getenv("JOURNAL_STREAM"), STDERR_FILENO);
  LineWriter writer_ = journal_ ? LineWriter(SendToJournal) : LineWriter(STDERR_FILENO);
};

// Null before ConfigureLog.
std::shared_ptr<LogSink> RunningSink() {
  const std::shared_ptr<spdlog::logger> running = spdlog::default_logger();
  const bool has_sink = running && !running->sinks().empty();
  return has_sink ? std::dynamic_pointer_cast<LogSink>(running->sinks().front()) : nullptr;
}

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
  // spdlog's default logger must not be replaced while other threads log. So it stays after the first time, and its
  // changeable settings are atomic.
  if (const auto sink = RunningSink()) {
    sink->set_format(log.format);
    spdlog::default_logger()->set_level(LevelOf(log.level));
    return;
  }
  const auto sink = std::make_shared<LogSink>(log.format);
  auto logger = std::make_shared<spdlog::logger>("conntally", sink);
  logger->set_level(LevelOf(log.level));
  // By default, spdlog reports an unformattable line on standard error, and may block.
  logger->set_error_handler([](const std::string&) {});
  spdlog::set_default_logger(std::move(logger));
  sink->writer().Start();
}

void LogWith(const LogFields& fields, spdlog::level::level_enum level, std::string_view text) {
  fields_of_this_line = &fields;
  spdlog::log(level, spdlog::string_view_t(text.data(), text.size()));
  fields_of_this_line = nullptr;
}

std::uint64_t LogLinesLost() {
  const auto sink = RunningSink();
  return sink ? sink->writer().lost() : 0;
}

void DrainLog() {
  if (const auto sink = RunningSink()) sink->writer().Drain(kDrainMax);
}

void LogAndAbort() {
  const auto ended = Caught([] {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
  });
  std::set_terminate(std::abort);
  spdlog::critical("conntally ends by a fault of its own: {}", ended ? "no exception" : ended.error().message);
  DrainLog();
  std::abort();
}

}  // namespace conntally
