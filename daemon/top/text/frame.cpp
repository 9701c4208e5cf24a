#include "daemon/top/text/frame.h"

#include "daemon/top/text/text.h"

namespace conntally::top {
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

std::vector<Span> Row::Fitting(std::size_t columns) const {
  std::vector<Span> fitting;
  for (const Span& span : spans_) {
    if (columns == 0) break;
    fitting.push_back({Cut(span.text, columns), span.style});
    columns -= Width(fitting.back().text);
  }
  return fitting;
}

std::string PlainText(const Frame& frame, Size size) {
  std::string text;
  for (const Row& row : frame) text += row.Plain(size.columns) + "\n";
  return text;
}

}  // namespace conntally::top
