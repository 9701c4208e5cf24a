// The terminal that top runs on: set up on construction, restored by the destructor.
//
// Threads: one owner.
#pragma once

#include <termios.h>

#include <optional>
#include <string_view>
#include <vector>

#include "collectors/system/result.h"
#include "daemon/top/model/view.h"
#include "daemon/top/terminal/curses.h"
#include "daemon/top/text/frame.h"

namespace conntally::top {

// The size of the terminal behind the descriptor; nullopt if it is not a terminal, or its size is unknown.
std::optional<Size> TerminalSize(int descriptor);

// Whether the locale's encoding is UTF-8. Sets the process's locale from the environment.
bool ShowsUnicode();

class Terminal {
 public:
  // The terminal at standard input and output. The error says what to do.
  static Result<Terminal> Open();
  Terminal(Terminal&& other) noexcept;
  Terminal& operator=(Terminal&&) = delete;
  ~Terminal();

  // False if the terminal is gone, or accepts nothing for two seconds, as over a hanging ssh.
  bool Draw(const Frame& frame, Size size) { return Write(curses_.Draw(frame, size)); }
  std::vector<Key> ReadKeys() { return curses_.ReadKeys(); }

 private:
  Terminal(Curses curses, const termios& before);
  static bool Write(std::string_view bytes);

  Curses curses_;
  termios before_;
  bool owner_ = true;
};

}  // namespace conntally::top
