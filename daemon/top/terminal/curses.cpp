// Functions, not macros with names such as `move` and `clear`.
#define NCURSES_NOMACROS
#include "daemon/top/terminal/curses.h"

#include <fcntl.h>
#include <ncurses.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "daemon/top/text/text.h"

namespace conntally::top {
namespace {

constexpr int kEscapeWaitMs = 50;
constexpr int kEscape = 27;

// Colour pairs: numbered like the foreground, on the terminal's background.
constexpr short kPairs[] = {COLOR_RED, COLOR_GREEN, COLOR_YELLOW};

// Uses the 16 standard colours, which users adjust to be readable.
std::pair<attr_t, short> AttributesOf(Style style) {
  switch (style) {
    case Style::kPlain: return {A_NORMAL, 0};
    case Style::kDim: return {A_DIM, 0};
    case Style::kBold: return {A_BOLD, 0};
    case Style::kGood: return {A_NORMAL, COLOR_GREEN};
    case Style::kWarning: return {A_NORMAL, COLOR_YELLOW};
    case Style::kCritical: return {A_BOLD, COLOR_RED};
    case Style::kHeading: return {A_BOLD | A_UNDERLINE, 0};
    case Style::kSelected: return {A_REVERSE, 0};
  }
  return {A_NORMAL, 0};
}

std::optional<Key> KeyOf(int code) {
  switch (code) {
    case KEY_UP: return Key{KeyCode::kUp};
    case KEY_DOWN: return Key{KeyCode::kDown};
    case KEY_LEFT: return Key{KeyCode::kLeft};
    case KEY_RIGHT: return Key{KeyCode::kRight};
    case KEY_PPAGE: return Key{KeyCode::kPageUp};
    case KEY_NPAGE: return Key{KeyCode::kPageDown};
    case KEY_HOME: return Key{KeyCode::kHome};
    case KEY_END: return Key{KeyCode::kEnd};
    case KEY_ENTER:
    case '\r':
    case '\n': return Key{KeyCode::kEnter};
    case KEY_BACKSPACE:
    case 0x7f:
    case 0x08: return Key{KeyCode::kBackspace};
    default: break;
  }
  if (code < 0 || code > 0x7f) return std::nullopt;
  return Key{KeyCode::kCharacter, static_cast<char>(code)};
}

// Keys of terminals whose mode or name does not match terminfo, such as PuTTY as xterm.
void AddCommonKeys() {
  static constexpr std::pair<const char*, int> kSequences[] = {
      {"\x1b[A", KEY_UP},     {"\x1bOA", KEY_UP},     {"\x1b[B", KEY_DOWN}, {"\x1bOB", KEY_DOWN},
      {"\x1b[C", KEY_RIGHT},  {"\x1bOC", KEY_RIGHT},  {"\x1b[D", KEY_LEFT}, {"\x1bOD", KEY_LEFT},
      {"\x1b[5~", KEY_PPAGE}, {"\x1b[6~", KEY_NPAGE}, {"\x1b[H", KEY_HOME}, {"\x1bOH", KEY_HOME},
      {"\x1b[1~", KEY_HOME},  {"\x1b[7~", KEY_HOME},  {"\x1b[F", KEY_END},  {"\x1bOF", KEY_END},
      {"\x1b[4~", KEY_END},   {"\x1b[8~", KEY_END},
  };
  for (const auto& [sequence, code] : kSequences) {
    if (key_defined(sequence) == 0) define_key(sequence, code);
  }
}

constexpr const char* kInstead = "; `conntally top --once` writes one frame as plain text";

Error NoEntryFor(const std::string& type) {
  if (type.empty())
    return {std::string("TERM is not set: set it to your terminal's name, such as xterm-256color") + kInstead};
  return {
      "TERM=" + type +
      " has no terminfo entry: install the package ncurses-term, or set TERM to a known name such as xterm-256color" +
      kInstead};
}

bool MovesCursor() {
  const char* const address = tigetstr("cup");
  return address != nullptr && address != reinterpret_cast<const char*>(-1);
}

}  // namespace

Result<Curses> Curses::Open(const std::string& terminal_type, int keyboard) {
  if (terminal_type.empty()) return NoEntryFor(terminal_type);
  const int memory = memfd_create("top", MFD_CLOEXEC);
  File output(memory < 0 ? nullptr : fdopen(memory, "w+"));
  const int input_copy = fcntl(keyboard, F_DUPFD_CLOEXEC, 0);
  File input(input_copy < 0 ? nullptr : fdopen(input_copy, "r"));
  if (!output || !input) return Error::FromErrno("preparing the screen", errno);
  ::screen* const created = newterm(terminal_type.c_str(), output.get(), input.get());
  if (created == nullptr) return NoEntryFor(terminal_type);
  if (!MovesCursor()) {
    delscreen(created);
    return Error{"top needs a terminal that can move its cursor, and TERM=" + terminal_type + " cannot" + kInstead};
  }
  return Curses(std::move(output), std::move(input), created);
}

Curses::Curses(File output, File input, ::screen* created)
    : output_(std::move(output)), input_(std::move(input)), screen_(created) {
  set_term(created);
  set_escdelay(kEscapeWaitMs);
  nonl();
  keypad(stdscr, TRUE);
  nodelay(stdscr, TRUE);
  scrollok(stdscr, FALSE);
  AddCommonKeys();
  curs_set(0);
  if (has_colors()) {
    start_color();
    use_default_colors();
    for (const short colour : kPairs) init_pair(colour, colour, -1);
  }
}

void Curses::DeleteScreen::operator()(::screen* deleted) const { delscreen(deleted); }

std::string Curses::Draw(const Frame& frame, Size size) {
  if (size != size_) {
    resize_term(static_cast<int>(size.rows), static_cast<int>(size.columns));
    clearok(stdscr, TRUE);  // after a resize the terminal's contents are unknown
    size_ = size;
  }
  werase(stdscr);
  for (std::size_t i = 0; i < std::min(frame.size(), size.rows); ++i) {
    wmove(stdscr, static_cast<int>(i), 0);
    for (const Span& span : frame[i].Fitting(size.columns)) {
      const auto [attributes, pair] = AttributesOf(span.style);
      wattr_set(stdscr, attributes, has_colors() ? pair : short{0}, nullptr);
      waddstr(stdscr, (MB_CUR_MAX > 1 ? span.text : InAscii(span.text)).c_str());
    }
  }
  wrefresh(stdscr);
  return TakeOutput();
}

std::string Curses::End() {
  endwin();
  return TakeOutput();
}

std::string Curses::TakeOutput() {
  std::fflush(output_.get());
  const int memory = fileno(output_.get());
  struct stat held {};
  if (fstat(memory, &held) != 0) return {};
  std::string bytes(static_cast<std::size_t>(held.st_size), '\0');
  const ssize_t count = pread(memory, bytes.data(), bytes.size(), 0);
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  if (ftruncate(memory, 0) != 0 || lseek(memory, 0, SEEK_SET) != 0) return {};
  return bytes;
}

std::vector<Key> Curses::ReadKeys() {
  std::vector<Key> keys;
  for (int code = wgetch(stdscr); code != ERR; code = wgetch(stdscr)) TakeCode(code, keys);
  return keys;
}

void Curses::TakeCode(int code, std::vector<Key>& keys) {
  if (code != kEscape) {
    if (const auto key = KeyOf(code)) keys.push_back(*key);
    return;
  }
  const int next = wgetch(stdscr);
  if (next == '[' || next == 'O') {  // an unknown key, up to ECMA-48's final byte
    for (int byte = wgetch(stdscr); byte != ERR && (byte < 0x40 || byte > 0x7e);) byte = wgetch(stdscr);
    return;
  }
  keys.push_back({KeyCode::kEscape});
  if (next != ERR) TakeCode(next, keys);
}

}  // namespace conntally::top
