#include "daemon/log/log_line.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;
using Format = Config::LogFormat;

namespace {

const std::chrono::system_clock::time_point kTime{1'700'000'000'042ms};

std::string Text(std::string_view text) { return LogLine({kTime, spdlog::level::info, text}, Format::kText); }

// Every byte, and what UTF-8 makes of C1.
std::string AllBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes + "\xC2\x9B[2J";
}

}  // namespace

TEST_CASE("a text line is time, level, text, and what was held back") {
  CHECK(Text("synced") == "2023-11-14T22:13:20.042Z info synced\n");
  CHECK(LogLine({kTime, spdlog::level::warn, "lost", 3}, Format::kText) ==
        "2023-11-14T22:13:20.042Z warning lost (3 like it held back)\n");
}

TEST_CASE("no text begins a line of its own or steers a terminal") {
  CHECK(Text("a\nb\r\x1B[31m\x7F") == "2023-11-14T22:13:20.042Z info a b ?[31m?\n");
  CHECK(Text("\xC2\x9B"
             "31m \xC2\xA0 \xC3\xA4") == "2023-11-14T22:13:20.042Z info ?31m \xC2\xA0 \xC3\xA4\n");
  const std::string line = Text(AllBytes());
  for (std::size_t i = 0; i + 1 < line.size(); ++i) CHECK(static_cast<unsigned char>(line[i]) >= ' ');
  CHECK(line.find("\xC2\x9B") == line.npos);
}

TEST_CASE("a JSON line is one object on one line, whatever bytes the text has") {
  const std::string line = LogLine({kTime, spdlog::level::err, AllBytes(), 7}, Format::kJson);
  CHECK(line.find('\n') == line.size() - 1);
  const auto json = nlohmann::json::parse(line);  // which refuses what is no UTF-8
  CHECK(json.at("time") == "2023-11-14T22:13:20.042Z");
  CHECK(json.at("level") == "error");
  CHECK(json.at("held_back") == 7);
  CHECK(json.size() == 4);
}

TEST_CASE("a JSON line gives the text as it was") {
  const std::string text = "a \"quoted\"\n\\ line with \xC3\xA4";
  const auto json = nlohmann::json::parse(LogLine({kTime, spdlog::level::info, text}, Format::kJson));
  CHECK(json.at("message") == text);
  CHECK_FALSE(json.contains("held_back"));
}

TEST_CASE("times before the epoch have milliseconds too") {
  CHECK(LogLine({std::chrono::system_clock::time_point{-1ms}, spdlog::level::info, "x"}, Format::kText) ==
        "1969-12-31T23:59:59.999Z info x\n");
}

TEST_CASE("an entry of the journal has its priority, its fields, and no time of its own") {
  const LogFields fields{.source = "192.0.2.7", .alert = "SourceScanning"};
  CHECK(JournalEntry({kTime, spdlog::level::warn, "alert firing", 3, fields}, Format::kText) ==
        "PRIORITY=4\nSYSLOG_IDENTIFIER=conntally\nMESSAGE=alert firing (3 like it held back)\n"
        "SOURCE=192.0.2.7\nALERT=SourceScanning\n");
  const auto priority = [](spdlog::level::level_enum level) {
    return JournalEntry({kTime, level, "x"}, Format::kText).substr(0, 10);
  };
  CHECK(priority(spdlog::level::critical) == "PRIORITY=2");
  CHECK(priority(spdlog::level::err) == "PRIORITY=3");
  CHECK(priority(spdlog::level::info) == "PRIORITY=6");
  CHECK(priority(spdlog::level::debug) == "PRIORITY=7");
}

TEST_CASE("nothing in a text or a field adds a field of the journal") {
  const LogFields fields{.rule = "drop comment \"x\nPRIORITY=0\""};
  const std::string entry = JournalEntry({kTime, spdlog::level::info, "a\nALERT=x\0b", 0, fields}, Format::kText);
  CHECK(std::count(entry.begin(), entry.end(), '\n') == 4);
  CHECK(entry.find("\nRULE=drop comment \"x PRIORITY=0\"\n") != entry.npos);
}

TEST_CASE("JSON has the same fields, on standard error and in the journal's message") {
  const LogFields fields{
      .source = "192.0.2.7", .rule = "tcp dport 22 drop", .alert = "DropRuleSpike", .collector = "rules"};
  const LogEntry entry{kTime, spdlog::level::info, "x", 0, fields};
  const auto json = nlohmann::json::parse(LogLine(entry, Format::kJson));
  CHECK(json.at("source") == "192.0.2.7");
  CHECK(json.at("rule") == "tcp dport 22 drop");
  CHECK(json.at("alert") == "DropRuleSpike");
  CHECK(json.at("collector") == "rules");
  const std::string journal = JournalEntry(entry, Format::kJson);
  CHECK(journal.find("MESSAGE=" + LogLine(entry, Format::kJson)) != journal.npos);
}
