#include "daemon/top/frame.h"

#include "daemon/top/terminal.h"
#include "test/support/catch.h"

using namespace conntally::top;

TEST_CASE("plain text has no escape sequence and no trailing space") {
  const Frame frame = {Row().Add("bold", Style::kBold).Add("  "), Row().Add("0123456789")};
  CHECK(PlainText(frame, {5, 2}) == "bold\n0123~\n");
}

TEST_CASE("only rows that differ are painted again") {
  Painter painter;
  const Size size{20, 3};
  const std::string first = painter.Paint({Row().Add("one"), Row().Add("two")}, size);
  CHECK(first.find("one") != first.npos);
  CHECK(first.find("two") != first.npos);
  const std::string second = painter.Paint({Row().Add("one"), Row().Add("too")}, size);
  CHECK(second.find("one") == second.npos);
  CHECK(second.find("\x1b[2;1Htoo") != second.npos);
  CHECK(painter.Paint({Row().Add("one"), Row().Add("too")}, size).empty());
  painter.Forget();
  CHECK(painter.Paint({Row().Add("one")}, size).find("\x1b[2J") != std::string::npos);
}

TEST_CASE("a row never exceeds the terminal, and ends in the plain style") {
  const std::string row = Row().Add("abc", Style::kCritical).Add("defgh", Style::kGood).Ansi(5);
  CHECK(row.find("abc") != row.npos);
  CHECK(row.find("fgh") == row.npos);
  CHECK(row.ends_with("\x1b[0m"));
}

namespace {

std::vector<KeyCode> Codes(std::initializer_list<std::string_view> pieces) {
  KeyDecoder decoder;
  std::vector<Key> keys;
  for (const std::string_view piece : pieces) decoder.Take(piece, keys);
  decoder.Settle(keys);
  std::vector<KeyCode> codes;
  for (const Key key : keys) codes.push_back(key.code);
  return codes;
}

}  // namespace

TEST_CASE("keys are told apart, in whatever pieces they come") {
  using enum KeyCode;
  CHECK(Codes({"\x1b[A\x1b[B"}) == std::vector{kUp, kDown});
  CHECK(Codes({"\x1b", "[", "6~"}) == std::vector{kPageDown});
  CHECK(Codes({"\x1bOA"}) == std::vector{kUp});
  CHECK(Codes({"\x1b"}) == std::vector{kEscape});
  CHECK(Codes({"\x1b\x1b[A"}) == std::vector{kEscape, kUp});
  CHECK(Codes({"\x1b"
               "c"}) == std::vector{kEscape, kCharacter});
  CHECK(Codes({"\x1b[15~q"}) == std::vector{kCharacter});  // F5 is no key of ours
  CHECK(Codes({"\r", "\x7f", "x"}) == std::vector{kEnter, kBackspace, kCharacter});
  CHECK(Codes({std::string(1, '\x1b') + "[" + std::string(100, '1')}).size() < 100);
}
