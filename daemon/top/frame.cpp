#include "daemon/top/frame.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/top/text.h"

namespace conntally::top {
namespace {

// The 16 colours that every terminal has, which its owner has made readable.
constexpr std::string_view SequenceOf(Style style) {
  switch (style) {
    case Style::kPlain: return "\x1b[0m";
    case Style::kDim: return "\x1b[0;2m";
    case Style::kBold: return "\x1b[0;1m";
    case Style::kGood: return "\x1b[0;32m";
    case Style::kWarning: return "\x1b[0;33m";
    case Style::kCritical: return "\x1b[0;1;31m";
    case Style::kHeading: return "\x1b[0;1;4m";
    case Style::kSelected: return "\x1b[0;7m";
  }
  return "";
}

}  // namespace

Row& Row::Add(std::string_view text, Style style) {
  spans_.push_back({std::string(text), style});
  width_ += Width(text);
  return *this;
}

Row& Row::To(std::size_t column) {
  return width_ < column ? Add(std::string(column - width_, ' '), spans_.empty() ? Style::kPlain : spans_.back().style)
                         : *this;
}

Row& Row::Cover(Style style, std::size_t columns) {
  To(columns);
  for (Span& span : spans_) span.style = style;
  return *this;
}

std::string Row::Plain(std::size_t columns) const {
  std::string line;
  for (const Span& span : spans_) line += span.text;
  line.erase(line.find_last_not_of(' ') + 1);
  line = Cut(line, columns);
  return line;
}

std::string Row::Ansi(std::size_t columns) const {
  std::string line;
  Style style = Style::kPlain;
  std::size_t left = columns;
  for (const Span& span : spans_) {
    if (left == 0) break;
    const std::string text = Cut(span.text, left);
    left -= Width(text);
    if (span.style != style) line += SequenceOf(span.style);
    style = span.style;
    line += text;
  }
  if (style != Style::kPlain) line += SequenceOf(Style::kPlain);
  // A full line leaves the cursor on its last column, which must not be cleared.
  return left > 0 ? line + "\x1b[K" : line;
}

std::string PlainText(const Frame& frame, Size size) {
  std::string text;
  for (const Row& row : frame) text += row.Plain(size.columns) + "\n";
  return text;
}

std::string Painter::Paint(const Frame& frame, Size size) {
  std::string output;
  if (shown_.size() != size.rows) {
    output += "\x1b[0m\x1b[2J";
    shown_.assign(size.rows, "\x1b[K");
  }
  for (std::size_t i = 0; i < size.rows; ++i) {
    std::string line = i < frame.size() ? frame[i].Ansi(size.columns) : "\x1b[K";
    if (line == shown_[i]) continue;
    output += fmt::format("\x1b[{};1H", i + 1) + line;
    shown_[i] = std::move(line);
  }
  return output;
}

}  // namespace conntally::top
