// A terminal by its terminfo entry, through ncursesw: turns frames into the terminal's bytes, and the keyboard's bytes
// into keys. It writes nothing itself, but returns the bytes, so that the terminal's owner can write them with a time
// limit.
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
  // `terminal_type` is the value of TERM; keys are read from `keyboard`. An error, with what to do, if there is no such
  // entry, or the terminal cannot move its cursor.
  static Result<Curses> Open(const std::string& terminal_type, int keyboard);

  // The bytes that make the terminal show the frame; the first ones switch to the alternate screen.
  std::string Draw(const Frame& frame, Size size);
  // The bytes that restore the terminal's previous contents.
  std::string End();

  // The keys pressed. An escape byte that nothing follows within 50 ms is the Escape key.
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

  // In this order, since the screen must be destroyed before its files.
  File output_, input_;
  std::unique_ptr<::screen, DeleteScreen> screen_;
  Size size_{0, 0};
};

}  // namespace conntally::top
