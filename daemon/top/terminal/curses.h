// A terminal as its terminfo entry describes it, through ncursesw: frames become the bytes that it understands, and
// what its keyboard sends becomes keys. Writes nothing itself: it hands the bytes back, so that whoever owns the
// terminal can write them with a time limit.
//
// Threads: one owner. ncurses keeps one current screen for the process, so there is one Curses at a time.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "collectors/system/result.h"
#include "daemon/top/model/view.h"
#include "daemon/top/text/frame.h"

struct screen;  // ncurses' SCREEN

namespace conntally::top {

class Curses {
 public:
  // `terminal_type` as TERM has it; keys are read from the descriptor. An error when there is no entry of that name, or
  // when such a terminal cannot move its cursor: it says what to do.
  static Result<Curses> Open(const std::string& terminal_type, int keyboard);

  // What to send so that the terminal shows the frame; at first it switches to the alternate screen.
  std::string Draw(const Frame& frame, Size size);
  // What to send so that the terminal shows again what it showed before.
  std::string End();

  // The keys that have been pressed. An escape that nothing follows within 50 ms is the key itself.
  std::vector<Key> ReadKeys();

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  struct DeleteScreen {
    void operator()(::screen* deleted) const;
  };
  using File = std::unique_ptr<std::FILE, CloseFile>;

  Curses(File output, File input, ::screen* created);
  void TakeCode(int code, std::vector<Key>& keys);
  std::string TakeOutput();

  // In this order, for the screen goes before its files.
  File output_, input_;
  std::unique_ptr<::screen, DeleteScreen> screen_;
  Size size_{0, 0};
};

}  // namespace conntally::top
