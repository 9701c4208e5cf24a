// A picture for a terminal: rows of styled text, and the same as plain lines. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace conntally::top {

struct Size {
  std::size_t columns = 80;
  std::size_t rows = 24;

  friend bool operator==(const Size&, const Size&) = default;
};

enum class Style : std::uint8_t { kPlain, kDim, kBold, kGood, kWarning, kCritical, kHeading, kSelected };

struct Span {
  std::string text;
  Style style = Style::kPlain;

  friend bool operator==(const Span&, const Span&) = default;
};

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
  // As much of it as the columns take.
  std::vector<Span> Fitting(std::size_t columns) const;

 private:
  std::vector<Span> spans_;
  std::size_t width_ = 0;
};

using Frame = std::vector<Row>;

// For pipes: lines without trailing space, not one escape sequence.
std::string PlainText(const Frame& frame, Size size);

}  // namespace conntally::top
