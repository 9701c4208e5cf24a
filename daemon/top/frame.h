// A picture for a terminal: rows of styled text, and how it becomes plain lines or escape sequences. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace conntally::top {

struct Size {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

enum class Style : std::uint8_t { kPlain, kDim, kBold, kGood, kWarning, kCritical, kHeading, kSelected };

class Row {
 public:
  // `text` must be harmless.
  Row& Add(std::string_view text, Style style = Style::kPlain);
  // Spaces up to the column; nothing when it is there already.
  Row& To(std::size_t column);
  // All of it in one style, filled up to the width.
  Row& Cover(Style style, std::size_t columns);
  std::size_t width() const { return width_; }

  std::string Plain(std::size_t columns) const;
  std::string Ansi(std::size_t columns) const;  // ends in the terminal's plain style, the rest of the line cleared

 private:
  struct Span {
    std::string text;
    Style style;
  };
  std::vector<Span> spans_;
  std::size_t width_ = 0;
};

using Frame = std::vector<Row>;

// For pipes: lines without trailing space, not one escape sequence.
std::string PlainText(const Frame& frame, Size size);

// For a terminal: remembers what it shows, and writes only the rows that differ.
class Painter {
 public:
  // What to send so that the terminal shows the frame.
  std::string Paint(const Frame& frame, Size size);
  // The terminal shows something unknown.
  void Forget() { shown_.clear(); }

 private:
  std::vector<std::string> shown_;
};

}  // namespace conntally::top
