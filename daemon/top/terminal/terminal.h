// The terminal that top runs on: taken on construction, given back as it was by the destructor.
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

// Of the terminal behind the descriptor; nullopt when it is none, or does not know.
std::optional<Size> TerminalSize(int descriptor);

// Whether the locale says that text is UTF-8. Makes the environment's locale the process's.
bool ShowsUnicode();

class Terminal {
 public:
  // Of standard input and output. The error says what to do.
  static Result<Terminal> Open();
  Terminal(Terminal&& other) noexcept;
  Terminal& operator=(Terminal&&) = delete;
  ~Terminal();

  // False when the terminal is gone, or takes nothing for two seconds, as that of an ssh that hangs.
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
