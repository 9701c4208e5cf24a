#include "daemon/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <iterator>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

namespace conntally {
namespace {

// Holds back what repeats. Its memory of lines is bounded: when it is full, it forgets them all, and each may be written
// once more.
class RepeatLimit {
 public:
  struct Verdict {
    bool write = true;
    std::uint64_t held_back = 0;  // before this one
  };

  Verdict Judge(std::string_view line, spdlog::log_clock::time_point now) {
    if (seen_.size() >= kLinesMax) seen_.clear();
    const auto [entry, added] = seen_.try_emplace(ShapeOf(line), Seen{now, 0});
    if (added) return {};
    if (now - entry->second.written < kPause) {
      ++entry->second.held_back;
      return {.write = false};
    }
    entry->second.written = now;
    return {true, std::exchange(entry->second.held_back, 0)};
  }

 private:
  struct Seen {
    spdlog::log_clock::time_point written;
    std::uint64_t held_back = 0;
  };
  static constexpr std::size_t kLinesMax = 1000;
  static constexpr std::chrono::seconds kPause{10};

  static std::string ShapeOf(std::string_view line) {
    std::string shape;
    std::copy_if(line.begin(), line.end(), std::back_inserter(shape), [](char c) { return c < '0' || c > '9'; });
    return shape;
  }

  std::unordered_map<std::string, Seen> seen_;
};

class LogSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogSink(Config::LogFormat format) : format_(format) {}

 private:
  void sink_it_(const spdlog::details::log_msg& entry) override {
    const std::string_view text(entry.payload.data(), entry.payload.size());
    const RepeatLimit::Verdict verdict = limit_.Judge(text, entry.time);
    if (!verdict.write) return;
    const std::string line = format_ == Config::LogFormat::kJson ? JsonLine(entry, text, verdict.held_back)
                                                                 : TextLine(entry, text, verdict.held_back);
    std::fwrite(line.data(), 1, line.size(), stderr);
  }

  void flush_() override { std::fflush(stderr); }

  static std::string_view LevelName(const spdlog::details::log_msg& entry) {
    const auto name = spdlog::level::to_string_view(entry.level);
    return {name.data(), name.size()};
  }

  static std::string Timestamp(spdlog::log_clock::time_point when) {
    const std::time_t seconds = spdlog::log_clock::to_time_t(when);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count() % 1000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                       utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
  }

  static std::string TextLine(const spdlog::details::log_msg& entry, std::string_view text, std::uint64_t held_back) {
    std::string line = fmt::format("{} {} ", Timestamp(entry.time), LevelName(entry));
    // What comes from outside must not begin a line of its own, nor steer a terminal.
    for (const char c : text) line += static_cast<unsigned char>(c) < ' ' || c == 0x7F ? '?' : c;
    if (held_back > 0) line += fmt::format(" ({} like it held back)", held_back);
    return line + '\n';
  }

  static std::string JsonLine(const spdlog::details::log_msg& entry, std::string_view text, std::uint64_t held_back) {
    nlohmann::ordered_json line = {{"time", Timestamp(entry.time)}, {"level", LevelName(entry)}, {"message", text}};
    if (held_back > 0) line["held_back"] = held_back;
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
  }

  Config::LogFormat format_;
  RepeatLimit limit_;
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
  auto logger = std::make_shared<spdlog::logger>("conntally", std::make_shared<LogSink>(log.format));
  logger->set_level(LevelOf(log.level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace conntally
