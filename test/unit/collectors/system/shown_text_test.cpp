#include "collectors/system/shown_text.h"

#include <sstream>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("UTF-8 is what RFC 3629 says") {
  CHECK(Utf8Length("a") == 1);
  CHECK(Utf8Length("é!") == 2);
  CHECK(Utf8Length("€") == 3);
  CHECK(Utf8Length("\xF0\x9F\x98\x80") == 4);
  for (const char* text : {"", "\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                           "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82"}) {
    CHECK(Utf8Length(text) == 0);
  }
}

TEST_CASE("what steers a terminal, or hides or turns text round, is a question mark") {
  CHECK(ShownLine("a\x1b]0;title\x07z\x7f") == "a?]0;title?z?");
  CHECK(ShownLine("\xc2\x9b"
                  "31m") == "?31m");
  for (const char* character :
       {"\u202e", "\u2066", "\u200b", "\u200f", "\u061c", "\u2028", "\ufeff", "\u00ad", "\U000e0041"})
    CHECK(ShownLine(std::string("a") + character + "b") == "a?b");
  CHECK(ShownLine("\x9b"
                  "31m \xff \xe2\x80") == "?31m ? ??");
  CHECK(ShownLine("Zürich, 中文, \U0001f600, \u00a0") == "Zürich, 中文, \U0001f600, \u00a0");
  CHECK(ShownLine(std::string_view("a\0b\nc\td", 7)) == "a?b c d");
}

TEST_CASE("a line is cut between characters") {
  CHECK(ShownLine("Zürich", 2) == "Z");
  CHECK(ShownLine("Zürich", 3) == "Zü");
  CHECK(ShownLine("Zürich", 100) == "Zürich");
}

TEST_CASE("JSON keeps its meaning, and shows nothing that misleads") {
  CHECK(ShownJson("{\"a\": \"\u202e\u009b\x7f\"}\n") == "{\"a\": \"\\u202e\\u009b\\u007f\"}\n");
  CHECK(ShownJson("\"\U000e0041\"") == "\"\\udb40\\udc41\"");
  CHECK(ShownJson("\"ü\"") == "\"ü\"");
}

TEST_CASE("a stream is shown as a line is, however its bytes are written, and is given back") {
  const std::string text = "ü\x1b[2J\n\tü\u202e中\x9b\n";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    std::ostringstream terminal;
    {
      const ShownStream shown(terminal);
      for (std::size_t at = 0; at < text.size(); at += size) terminal << text.substr(at, size);
      terminal.put('z') << std::flush;
    }
    CHECK(terminal.str() == "ü?[2J\n\tü?中?\nz");
    terminal << '\x1b';
    CHECK(terminal.str().back() == '\x1b');
  }
}

TEST_CASE("a stream that takes no more says so") {
  struct Full : std::streambuf {
  } full;
  std::ostream terminal(&full);
  const ShownStream shown(terminal);
  terminal << "text";
  CHECK_FALSE(terminal);
}
