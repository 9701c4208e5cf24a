#include "daemon/log/log_line.h"

#include <spdlog/fmt/fmt.h>
#include <syslog.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "collectors/system/shown_text.h"

namespace conntally {
namespace {

std::string Timestamp(std::chrono::system_clock::time_point when) {
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(when).time_since_epoch();
  const auto whole_seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const std::time_t seconds = whole_seconds.count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, (since_epoch - whole_seconds).count());
}

std::string_view LevelName(const LogEntry& entry) {
  const auto name = spdlog::level::to_string_view(entry.level);
  return {name.data(), name.size()};
}

// The priority for syslog(3).
int PriorityOf(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical: return LOG_CRIT;
    case spdlog::level::err: return LOG_ERR;
    case spdlog::level::warn: return LOG_WARNING;
    case spdlog::level::info: return LOG_INFO;
    default: return LOG_DEBUG;
  }
}

struct NamedField {
  const char* journal;
  const char* json;
  std::string LogFields::*value;
};
constexpr NamedField kFields[] = {{"SOURCE", "source", &LogFields::source},
                                  {"RULE", "rule", &LogFields::rule},
                                  {"ALERT", "alert", &LogFields::alert},
                                  {"COLLECTOR", "collector", &LogFields::collector}};

std::string Text(const LogEntry& entry) {
  std::string text = ShownLine(entry.text);
  if (entry.held_back > 0) text += fmt::format(" ({} like it held back)", entry.held_back);
  return text;
}

std::string JsonText(const LogEntry& entry) {
  nlohmann::ordered_json line = {{"time", Timestamp(entry.time)}, {"level", LevelName(entry)}, {"message", entry.text}};
  for (const NamedField& field : kFields) {
    if (const std::string& value = entry.fields.*field.value; !value.empty()) line[field.json] = value;
  }
  if (entry.held_back > 0) line["held_back"] = entry.held_back;
  return ShownJson(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

std::string LogLine(const LogEntry& entry, Config::LogFormat format) {
  if (format == Config::LogFormat::kJson) return JsonText(entry) + '\n';
  return fmt::format("{} {} {}\n", Timestamp(entry.time), LevelName(entry), Text(entry));
}

std::string JournalEntry(const LogEntry& entry, Config::LogFormat format) {
  std::string fields = fmt::format("PRIORITY={}\nSYSLOG_IDENTIFIER=conntally\nMESSAGE={}\n", PriorityOf(entry.level),
                                   format == Config::LogFormat::kJson ? JsonText(entry) : Text(entry));
  for (const NamedField& field : kFields) {
    const std::string& value = entry.fields.*field.value;
    if (!value.empty()) fields += fmt::format("{}={}\n", field.journal, ShownLine(value));
  }
  return fields;
}

}  // namespace conntally
