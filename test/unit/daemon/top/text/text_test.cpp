#include "daemon/top/text/text.h"

#include <limits>

#include "test/support/catch.h"

using namespace conntally::top;

TEST_CASE("what a terminal would obey is made harmless") {
  CHECK(Harmless("\x1b[2Jrm") == "?[2Jrm");
  CHECK(Harmless("a\x07"
                 "b\x7f") == "a?b?");
  CHECK(Harmless("\xc2\x9b"
                 "31m") == "?31m");  // C1 CSI
  CHECK(Harmless("one\r\ntwo\tthree") == "one  two three");
  CHECK(Harmless("\xff\xfe ok") == "?? ok");
  CHECK(Harmless("\xe2\x80\xae"
                 "abc") == "?abc");  // right-to-left override
  CHECK(Harmless("\xcc\x81"
                 "e") == "?e");                // combining
  CHECK(Harmless("\xf0\x9f\x98\x80") == "?");  // an emoji, whose width depends on the terminal
  CHECK(Harmless("Zürich, Ωmega, Ядро") == "Zürich, Ωmega, Ядро");
  CHECK(Harmless(std::string_view("a\0b", 3)) == "a?b");
  CHECK(Harmless(std::string(5000, 'x')).size() == 1000);
}

TEST_CASE("cutting and padding count characters, not bytes") {
  CHECK(Width("Zürich") == 6);
  CHECK(Left("Zürich", 8) == "Zürich  ");
  CHECK(Right("Zürich", 8) == "  Zürich");
  CHECK(Left("Zürich", 3) == "Zü~");
  CHECK(Cut("abc", 3) == "abc");
  CHECK(Cut("abc", 0).empty());
}

TEST_CASE("a character of two columns is counted as two, and never cut in half") {
  CHECK(Harmless("中文 ラベル 한국") == "中文 ラベル 한국");
  CHECK(Width("中文 ab") == 7);
  CHECK(Cut("中文", 4) == "中文");
  CHECK(Cut("中文", 3) == "中~");
  CHECK(Cut("中文", 2) == "~");
  CHECK(Left("中文", 3) == "中~");
  CHECK(Left("中文字", 5) == "中文~");
  CHECK(Left("中文字", 4) == "中~ ");
  CHECK(Right("中", 4) == "  中");
}

TEST_CASE("where UTF-8 is not shown, every other character is a question mark of its width") {
  CHECK(InAscii("Zürich 中") == "Z?rich ??");
  CHECK(InAscii("█▁x") == "??x");
}

TEST_CASE("figures stay short, whatever they are") {
  CHECK(Thousands(0) == "0");
  CHECK(Thousands(1'234'567) == "1,234,567");
  CHECK(Short(0.3) == "0.3");
  CHECK(Short(9.96) == "10");
  CHECK(Short(9'999) == "9,999");
  CHECK(Short(57'210) == "57k");
  CHECK(Short(1'240'000) == "1.2M");
  for (double number = 0.01; number < 1e16; number *= 1.07) CHECK(Width(Short(number)) <= 5);
  CHECK(Short(std::numeric_limits<double>::quiet_NaN()) == "0");
  CHECK(Percent(0.004) == "0.4%");
  CHECK(Percent(1) == "100%");
  CHECK(Age(5) == "5 s");
  CHECK(Age(7500) == "2 h 05 min");
  CHECK(Age(std::numeric_limits<double>::infinity()) == "never");
}
