// A frame for a terminal: rows of styled text, also as plain lines. Pure; any thread.
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
  // Adds spaces up to the column; nothing if the row is already that long.
  Row& To(std::size_t column);
  // Sets one style for the whole row, padded to the width.
  Row& Cover(Style style, std::size_t columns);
  std::size_t width() const { return width_; }

  std::string Plain(std::size_t columns) const;
  // As much of the row as fits into the columns.
  std::vector<Span> Fitting(std::size_t columns) const;

 private:
  std::vector<Span> spans_;
  std::size_t width_ = 0;
};

using Frame = std::vector<Row>;

// For pipes: lines without trailing spaces or escape sequences.
std::string PlainText(const Frame& frame, Size size);

}  // namespace conntally::top
