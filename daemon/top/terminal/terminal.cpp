#include "daemon/top/terminal/terminal.h"

#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <utility>

namespace conntally::top {
namespace {

constexpr int kWriteWaitMs = 2000;

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

Result<Terminal> Terminal::Open() {
  termios before{};
  if (isatty(STDOUT_FILENO) == 0 || tcgetattr(STDIN_FILENO, &before) != 0) {
    return Error{"top wants a terminal; for a pipe there is `conntally top --once`"};
  }
  const char* const type = std::getenv("TERM");
  auto curses = Curses::Open(type == nullptr ? "" : type, STDIN_FILENO);
  if (!curses) return curses.error();
  return Terminal(std::move(*curses), before);
}

Terminal::Terminal(Curses curses, const termios& before) : curses_(std::move(curses)), before_(before) {
  termios raw = before_;
  raw.c_iflag &= static_cast<tcflag_t>(~(IXON | ICRNL | BRKINT | INPCK | ISTRIP));
  raw.c_lflag &= static_cast<tcflag_t>(~(ECHO | ICANON | IEXTEN | ISIG));
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

Terminal::Terminal(Terminal&& other) noexcept
    : curses_(std::move(other.curses_)), before_(other.before_), owner_(std::exchange(other.owner_, false)) {}

Terminal::~Terminal() {
  if (!owner_) return;
  Write(curses_.End());
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
