#include "daemon/top/terminal.h"

#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <utility>

namespace conntally::top {
namespace {

// The alternate screen, no cursor, no wrapping at the right edge; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr int kWriteWaitMs = 2000;  // of a terminal that takes nothing, such as a hung ssh

std::optional<Key> KeyOf(std::string_view sequence) {
  static constexpr std::pair<std::string_view, KeyCode> kSequences[] = {
      {"[A", KeyCode::kUp},      {"OA", KeyCode::kUp},        {"[B", KeyCode::kDown}, {"OB", KeyCode::kDown},
      {"[C", KeyCode::kRight},   {"OC", KeyCode::kRight},     {"[D", KeyCode::kLeft}, {"OD", KeyCode::kLeft},
      {"[5~", KeyCode::kPageUp}, {"[6~", KeyCode::kPageDown}, {"[H", KeyCode::kHome}, {"OH", KeyCode::kHome},
      {"[1~", KeyCode::kHome},   {"[7~", KeyCode::kHome},     {"[F", KeyCode::kEnd},  {"OF", KeyCode::kEnd},
      {"[4~", KeyCode::kEnd},    {"[8~", KeyCode::kEnd},
  };
  for (const auto& [known, code] : kSequences) {
    if (sequence == known) return Key{code};
  }
  return std::nullopt;
}

// Whether this byte ends a sequence: ECMA-48's final bytes; `[` and `O` begin one.
bool Ends(std::string_view sequence) {
  if (sequence.size() < 2) return false;
  const char last = sequence.back();
  return last >= 0x40 && last <= 0x7e;
}

}  // namespace

std::optional<Size> TerminalSize(int descriptor) {
  winsize window{};
  if (ioctl(descriptor, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return std::nullopt;
  return Size{window.ws_col, window.ws_row};
}

bool ShowsUnicode() {
  std::setlocale(LC_CTYPE, "");
  return std::string_view(nl_langinfo(CODESET)) == "UTF-8";
}

void KeyDecoder::Take(std::string_view bytes, std::vector<Key>& keys) {
  for (const char byte : bytes) {
    if (!pending_.empty()) {
      if (byte == 0x1b) {  // the one before was the key itself
        Settle(keys);
        pending_ = byte;
        continue;
      }
      if (pending_.size() == 1 && byte != '[' && byte != 'O') {  // the Escape key, and then another
        Settle(keys);
        TakeByte(byte, keys);
        continue;
      }
      pending_ += byte;
      const std::string_view sequence = std::string_view(pending_).substr(1);
      if (!Ends(sequence) && pending_.size() < kSequenceMax) continue;
      if (const auto key = KeyOf(sequence)) keys.push_back(*key);
      pending_.clear();
      continue;
    }
    TakeByte(byte, keys);
  }
}

void KeyDecoder::TakeByte(char byte, std::vector<Key>& keys) {
  switch (byte) {
    case 0x1b: pending_ = byte; break;
    case '\r':
    case '\n': keys.push_back({KeyCode::kEnter}); break;
    case 0x7f:
    case 0x08: keys.push_back({KeyCode::kBackspace}); break;
    default: keys.push_back({KeyCode::kCharacter, byte});
  }
}

void KeyDecoder::Settle(std::vector<Key>& keys) {
  if (pending_ == "\x1b") keys.push_back({KeyCode::kEscape});
  pending_.clear();
}

std::optional<Terminal> Terminal::Open() {
  termios before{};
  if (isatty(STDOUT_FILENO) == 0 || tcgetattr(STDIN_FILENO, &before) != 0) return std::nullopt;
  return Terminal(before);
}

Terminal::Terminal(const termios& before) : before_(before) {
  termios raw = before_;
  raw.c_iflag &= static_cast<tcflag_t>(~(IXON | ICRNL | BRKINT | INPCK | ISTRIP));
  raw.c_lflag &= static_cast<tcflag_t>(~(ECHO | ICANON | IEXTEN | ISIG));
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  Write(kEnter);
}

Terminal::Terminal(Terminal&& other) noexcept : before_(other.before_), owner_(std::exchange(other.owner_, false)) {}

Terminal::~Terminal() {
  if (!owner_) return;
  Write(kLeave);
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

bool Terminal::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready{STDOUT_FILENO, POLLOUT, 0};
    if (poll(&ready, 1, kWriteWaitMs) <= 0 || (ready.revents & POLLOUT) == 0) return false;
    const ssize_t written = write(STDOUT_FILENO, bytes.data(), std::min<std::size_t>(bytes.size(), 4096));
    if (written < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace conntally::top
