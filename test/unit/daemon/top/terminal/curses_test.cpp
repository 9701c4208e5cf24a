#include "daemon/top/terminal/curses.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <clocale>

#include "collectors/system/file_descriptor.h"
#include "test/support/catch.h"

using namespace conntally::top;
using conntally::FileDescriptor;

namespace {

struct Keyboard {
  Keyboard() {
    std::array<int, 2> ends{};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    reading = FileDescriptor(ends[0]);
    writing = FileDescriptor(ends[1]);
  }
  void Press(std::string_view bytes) const {
    REQUIRE(write(writing.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  FileDescriptor reading, writing;
};

Curses OpenCurses(const std::string& type, const Keyboard& keyboard) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  auto opened = Curses::Open(type, keyboard.reading.get());
  REQUIRE(opened);
  return std::move(*opened);
}

std::vector<KeyCode> Codes(std::string_view bytes) {
  const Keyboard keyboard;
  Curses curses = OpenCurses("xterm-256color", keyboard);
  keyboard.Press(bytes);
  std::vector<KeyCode> codes;
  for (const Key key : curses.ReadKeys()) codes.push_back(key.code);
  return codes;
}

}  // namespace

TEST_CASE("only what differs is drawn again") {
  const Keyboard keyboard;
  Curses curses = OpenCurses("xterm-256color", keyboard);
  const Size size{20, 3};
  const std::string first = curses.Draw({Row().Add("one"), Row().Add("two")}, size);
  CHECK(first.find("one") != first.npos);
  CHECK(first.find("two") != first.npos);
  const std::string second = curses.Draw({Row().Add("one"), Row().Add("seven")}, size);
  CHECK(second.find("one") == second.npos);
  CHECK(second.find("seven") != second.npos);
  CHECK(curses.Draw({Row().Add("one"), Row().Add("seven")}, size).empty());
  const std::string resized = curses.Draw({Row().Add("one"), Row().Add("seven")}, {40, 5});
  CHECK(resized.find("one") != resized.npos);
}

TEST_CASE("what ends the drawing undoes what begins it, as the terminal's own entry has it") {
  struct Modes {
    std::string type, begin, end;
  };
  const auto& [type, begin, end] = GENERATE(values<Modes>({{"xterm-256color", "\x1b[?1049h", "\x1b[?1049l"},
                                                           {"screen", "\x1b[?1049h", "\x1b[?1049l"},
                                                           {"linux", "\x1b[?25l\x1b[?1c", "\x1b[?25h\x1b[?0c"}}));
  const Keyboard keyboard;
  Curses curses = OpenCurses(type, keyboard);
  CHECK(curses.Draw({Row().Add("x")}, {20, 3}).find(begin) != std::string::npos);
  CHECK(curses.End().find(end) != std::string::npos);
}

TEST_CASE("a terminal without colours gets none, and the text all the same") {
  const Keyboard keyboard;
  Curses curses = OpenCurses("vt100", keyboard);
  const std::string drawn = curses.Draw({Row().Add("full", Style::kCritical)}, {20, 3});
  CHECK(drawn.find("full") != drawn.npos);
  CHECK(drawn.find("[31m") == drawn.npos);
}

TEST_CASE("a terminal that cannot move its cursor, or that nobody knows, is refused with what to do instead") {
  const Keyboard keyboard;
  for (const std::string type : {"dumb", "no-such-terminal", ""}) {
    const auto opened = Curses::Open(type, keyboard.reading.get());
    REQUIRE_FALSE(opened);
    CHECK(opened.error().message.find("TERM") != std::string::npos);
    CHECK(opened.error().message.find("conntally top --once") != std::string::npos);
  }
}

TEST_CASE("keys are told apart") {
  using enum KeyCode;
  CHECK(Codes("\x1b[A\x1b[B") == std::vector{kUp, kDown});
  CHECK(Codes("\x1bOA\x1b[6~\x1b[1~\x1bOF") == std::vector{kUp, kPageDown, kHome, kEnd});
  CHECK(Codes("\x1b") == std::vector{kEscape});
  CHECK(Codes("\x1b\x1b[A") == std::vector{kEscape, kUp});
  CHECK(Codes("\x1b"
              "c") == std::vector{kEscape, kCharacter});
  CHECK(Codes("\x1b[15~q") == std::vector{kCharacter});     // F5 is no key of ours
  CHECK(Codes("\x1b[99;99~q") == std::vector{kCharacter});  // nor is one that nobody knows
  CHECK(Codes("\r\n\x7fx") == std::vector{kEnter, kEnter, kBackspace, kCharacter});
  CHECK(Codes("\x1b[" + std::string(100, '1')).empty());
}
