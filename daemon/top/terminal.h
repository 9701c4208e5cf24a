// The terminal that top runs on: taken over on construction, given back as it was by the destructor.
//
// Threads: one owner.
#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/top/frame.h"
#include "daemon/top/view.h"

namespace conntally::top {

// Of the terminal behind the descriptor; nullopt when it is none, or does not know.
std::optional<Size> TerminalSize(int descriptor);

// Whether the locale says that text is UTF-8, and the terminal is more than a typewriter.
bool ShowsUnicode();

// Keys out of what a terminal sends; an escape sequence may come in pieces. Pure.
class KeyDecoder {
 public:
  // Adds the keys that `bytes` complete.
  void Take(std::string_view bytes, std::vector<Key>& keys);
  // Nothing followed for a while: an escape that waits was the Escape key.
  void Settle(std::vector<Key>& keys);
  bool waiting() const { return !pending_.empty(); }

 private:
  void TakeByte(char byte, std::vector<Key>& keys);

  static constexpr std::size_t kSequenceMax = 16;
  std::string pending_;  // an escape sequence so far
};

class Terminal {
 public:
  // nullopt when standard input or output is no terminal.
  static std::optional<Terminal> Open();
  Terminal(Terminal&& other) noexcept;
  Terminal& operator=(Terminal&&) = delete;
  ~Terminal();

  // False when the terminal is gone.
  bool Write(std::string_view bytes);

 private:
  explicit Terminal(const termios& before);
  termios before_;
  bool owner_ = true;
};

}  // namespace conntally::top
