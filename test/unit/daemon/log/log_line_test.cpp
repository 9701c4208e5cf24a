#include "daemon/log/log_line.h"

#include <nlohmann/json.hpp>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;
using Format = Config::LogFormat;

namespace {

const std::chrono::system_clock::time_point kTime{1'700'000'000'042ms};

std::string Text(std::string_view text) { return LogLine({kTime, "info", text}, Format::kText); }

// Every byte, and what UTF-8 makes of C1.
std::string AllBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes + "\xC2\x9B[2J";
}

}  // namespace

TEST_CASE("a text line is time, level, text, and what was held back") {
  CHECK(Text("synced") == "2023-11-14T22:13:20.042Z info synced\n");
  CHECK(LogLine({kTime, "warning", "lost", 3}, Format::kText) ==
        "2023-11-14T22:13:20.042Z warning lost (3 like it held back)\n");
}

TEST_CASE("no text begins a line of its own or steers a terminal") {
  CHECK(Text("a\nb\r\x1B[31m\x7F") == "2023-11-14T22:13:20.042Z info a?b??[31m?\n");
  CHECK(Text("\xC2\x9B"
             "31m \xC2\xA0 \xC3\xA4") == "2023-11-14T22:13:20.042Z info ?31m \xC2\xA0 \xC3\xA4\n");
  const std::string line = Text(AllBytes());
  for (std::size_t i = 0; i + 1 < line.size(); ++i) CHECK(static_cast<unsigned char>(line[i]) >= ' ');
  CHECK(line.find("\xC2\x9B") == line.npos);
}

TEST_CASE("a JSON line is one object on one line, whatever bytes the text has") {
  const std::string line = LogLine({kTime, "error", AllBytes(), 7}, Format::kJson);
  CHECK(line.find('\n') == line.size() - 1);
  const auto json = nlohmann::json::parse(line);  // which refuses what is no UTF-8
  CHECK(json.at("time") == "2023-11-14T22:13:20.042Z");
  CHECK(json.at("level") == "error");
  CHECK(json.at("held_back") == 7);
  CHECK(json.size() == 4);
}

TEST_CASE("a JSON line gives the text as it was") {
  const std::string text = "a \"quoted\"\n\\ line with \xC3\xA4";
  const auto json = nlohmann::json::parse(LogLine({kTime, "info", text}, Format::kJson));
  CHECK(json.at("message") == text);
  CHECK_FALSE(json.contains("held_back"));
}

TEST_CASE("times before the epoch have milliseconds too") {
  CHECK(LogLine({std::chrono::system_clock::time_point{-1ms}, "info", "x"}, Format::kText) ==
        "1969-12-31T23:59:59.999Z info x\n");
}
