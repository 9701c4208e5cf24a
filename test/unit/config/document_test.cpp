#include "config/document.h"

#include <algorithm>
#include <chrono>

#include "test/support/catch.h"
#include "test/unit/config/faults.h"

using conntally::Config;
using conntally::FaultOf;
using conntally::FaultsOf;
using conntally::ParseConfig;

TEST_CASE("a text with nothing in it is the defaults") {
  for (const char* text :
       {"", "\n\n", "# only a comment\n", "---\n", "{}", "---\n...\n", "\xEF\xBB\xBF# a byte order mark\n", "~"}) {
    INFO(text);
    const auto parsed = ParseConfig(text);
    REQUIRE(std::holds_alternative<Config>(parsed));
    CHECK(std::get<Config>(parsed) == Config{});
  }
}

TEST_CASE("a text that is not YAML is one fault where the reader lost the thread") {
  CHECK(FaultOf("web:\n  listen_address: \"unclosed\n").starts_with("2:"));
  CHECK(FaultOf("log: {level: info").find("this is not YAML") != std::string::npos);
  CHECK(FaultOf("log:\n  level: info\n format: text\n").starts_with("3:2: this is not YAML"));
  CHECK(FaultOf("log:\n\tlevel: info\n").starts_with("2:1: this is not YAML: a tab in the indentation"));
  CHECK(FaultOf("log:\n \t- a\n").starts_with("2:2: this is not YAML: a tab in the indentation"));
  CHECK(FaultOf("log:\n  level: {\n") == "2:11: this is not YAML: a '{' whose '}' is missing");
}

TEST_CASE("a fault at the end of the text is on its last line") {
  CHECK(FaultOf("log: {level: info\n\n\n").starts_with("1:18: "));
  CHECK(FaultOf("sources:\n  exclude: [\n").starts_with("2:13: "));
}

TEST_CASE("what YAML's reader trips over is never repeated raw in a message") {
  for (const std::string text : {"log: {level: \"x\\", "log: \"\\\xC3\xA9\"", "log: \"\\\r\""}) {
    const std::string fault = FaultOf(text);
    INFO(fault);
    CHECK(std::none_of(fault.begin(), fault.end(), [](char c) { return c < 0x20; }));
  }
}

TEST_CASE("bytes that are not text are refused where they stand") {
  CHECK(FaultOf(std::string_view("log:\n  level: in\0fo\n", 20)).starts_with("2:12: a control character"));
  CHECK(FaultOf("log:\n  level: in\xFF"
                "fo\n")
            .starts_with("2:12: this is not UTF-8"));
  CHECK(FaultOf("\xFF\xFEl\0o\0").starts_with("1:1: this is not UTF-8"));
  CHECK(FaultOf("# \xE2\x82\xAC is fine\nlog: {level: \x1B}") ==
        "2:14: a control character; allowed: printable UTF-8 text");
}

TEST_CASE("anchors, aliases and tags are refused before they multiply") {
  CHECK(FaultOf("log: &anchor {level: info}\n").starts_with("1:6: anchors (&) and aliases (*)"));
  CHECK(FaultOf("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n").starts_with("1:4: anchors"));
  CHECK(FaultOf("log: {level: !!str info}\n").starts_with("1:14: tags (!)"));
  CHECK(FaultOf("log: *nowhere\n").starts_with("1:6: "));
}

TEST_CASE("a second document is refused") {
  CHECK(FaultOf("log: {level: info}\n---\nlog: {level: debug}\n").find("a second document") != std::string::npos);
}

TEST_CASE("nesting is bounded, in every notation") {
  const std::size_t deep = 100'000;
  CHECK(FaultOf(std::string(deep, '[')).find("nested too deeply") != std::string::npos);
  std::string maps;
  std::string lists;
  for (std::size_t i = 0; i < deep; ++i) maps += "{a: ";
  for (std::size_t i = 0; i < deep; ++i) lists += "- ";
  CHECK(FaultOf(maps).find("nested too deeply") != std::string::npos);
  CHECK(FaultOf(lists).find("nested too deeply") != std::string::npos);
}

TEST_CASE("a huge text is refused, and the largest allowed one is read in reasonable time") {
  CHECK(FaultOf(std::string(conntally::config::kDocumentBytesMax + 1, '#')).starts_with("1:1: the text is too long"));
  std::string entries = "sources:\n  exclude:\n";
  while (entries.size() + 8 < conntally::config::kDocumentBytesMax) entries += "  - x\n";
  const auto start = std::chrono::steady_clock::now();
  CHECK(FaultOf(entries).find("too many values") != std::string::npos);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("of very many faults the first thousand are reported, and that there are more") {
  std::string text = "log: {level: info}\n";
  for (int i = 0; i < 3000; ++i) text += "unknown_" + std::to_string(i) + ": 1\n";
  const auto faults = FaultsOf(text);
  REQUIRE(faults.size() == 1000);
  CHECK(faults.front().starts_with("2:1: unknown_0: unknown key"));
  CHECK(faults.back().ends_with("(and more faults, left out here)"));
}

TEST_CASE("a top level that is no map is refused") {
  CHECK(FaultOf("- web\n") == "1:1: the file: this is a list; allowed: a map of keys and values");
  CHECK(FaultOf("web") == "1:1: the file: this is a plain value; allowed: a map of keys and values");
}
