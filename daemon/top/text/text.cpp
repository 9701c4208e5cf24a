#include "daemon/top/text/text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "collectors/system/shown_text.h"

namespace conntally::top {
namespace {

std::uint32_t Decode(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
  switch (bytes.size()) {
    case 1: return at(0);
    case 2: return (at(0) & 0x1f) << 6 | (at(1) & 0x3f);
    case 3: return (at(0) & 0x0f) << 12 | (at(1) & 0x3f) << 6 | (at(2) & 0x3f);
    default: return 0xfffd;
  }
}

// 0: not known to be harmless. Does not use wcwidth, which depends on the process's locale.
std::size_t ColumnsOf(std::uint32_t character) {
  struct Block {
    std::uint32_t first, last;
    std::size_t columns;
  };
  static constexpr Block kKnown[] = {
      {0x20, 0x7e, 1},     {0xa1, 0xac, 1},     {0xae, 0x24f, 1},     // Latin, without the soft hyphen
      {0x391, 0x3a1, 1},   {0x3a3, 0x3ce, 1},   {0x400, 0x45f, 1},    // Greek, Cyrillic
      {0x2500, 0x259f, 1}, {0x3001, 0x3029, 2}, {0x3041, 0x3096, 2},  // our own bars; CJK punctuation, Hiragana
      {0x30a0, 0x30ff, 2}, {0x3400, 0x4dbf, 2}, {0x4e00, 0x9fff, 2},  // Katakana, ideographs
      {0xac00, 0xd7a3, 2}, {0xff01, 0xff60, 2},                       // Hangul, full-width forms
  };
  for (const Block& block : kKnown) {
    if (character >= block.first && character <= block.last) return block.columns;
  }
  return 0;
}

// The bytes of the first character of non-empty text; one byte of invalid UTF-8.
std::string_view FirstOf(std::string_view text) { return text.substr(0, std::max<std::size_t>(Utf8Length(text), 1)); }

std::size_t ColumnsOf(std::string_view character) { return std::max<std::size_t>(ColumnsOf(Decode(character)), 1); }

}  // namespace

std::string Harmless(std::string_view text, std::size_t characters_max) {
  std::string harmless;
  for (std::size_t count = 0; !text.empty() && count < characters_max; ++count) {
    const std::string_view character = FirstOf(text);
    if (character == "\t" || character == "\n" || character == "\r") {
      harmless += ' ';
    } else if (Utf8Length(text) != 0 && ColumnsOf(Decode(character)) != 0) {
      harmless += character;
    } else {
      harmless += '?';
    }
    text.remove_prefix(character.size());
  }
  return harmless;
}

std::string InAscii(std::string_view text) {
  std::string ascii;
  for (; !text.empty(); text.remove_prefix(FirstOf(text).size())) {
    const std::string_view character = FirstOf(text);
    ascii.append(ColumnsOf(character), static_cast<unsigned char>(character[0]) < 0x80 ? character[0] : '?');
  }
  return ascii;
}

std::size_t Width(std::string_view text) {
  std::size_t columns = 0;
  for (; !text.empty(); text.remove_prefix(FirstOf(text).size())) columns += ColumnsOf(FirstOf(text));
  return columns;
}

std::string Cut(std::string_view text, std::size_t width) {
  if (Width(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t bytes = 0;
  for (std::size_t left = width - 1;;) {
    const std::string_view next = FirstOf(text.substr(bytes));
    if (ColumnsOf(next) > left) break;
    left -= ColumnsOf(next);
    bytes += next.size();
  }
  return std::string(text.substr(0, bytes)).append(1, '~');
}

std::string Left(std::string_view text, std::size_t width) {
  std::string cut = Cut(text, width);
  return cut.append(width - Width(cut), ' ');
}

std::string Right(std::string_view text, std::size_t width) {
  const std::string cut = Cut(text, width);
  return std::string(width - Width(cut), ' ').append(cut);
}

std::string Thousands(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string Short(double number) {
  if (!std::isfinite(number) || number < 0.05) return "0";
  if (number < 9.95) return fmt::format("{:.1f}", number);
  if (number < 9999.5) return Thousands(static_cast<std::uint64_t>(std::lround(number)));
  for (const char unit : {'k', 'M', 'G', 'T'}) {
    number /= 1000;
    if (number < 9.95) return fmt::format("{:.1f}{}", number, unit);
    if (number < 999.5) return fmt::format("{:.0f}{}", number, unit);
  }
  return "many";
}

std::string Percent(double share) {
  const double percent = share * 100;
  if (!std::isfinite(percent) || percent < 0.05) return "0%";
  return percent < 0.95 ? fmt::format("{:.1f}%", percent) : fmt::format("{:.0f}%", percent);
}

std::string Age(double seconds) {
  if (!std::isfinite(seconds)) return "never";
  const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 1e15));
  if (whole < 100) return fmt::format("{} s", whole);
  if (whole < 100 * 60) return fmt::format("{} min", whole / 60);
  if (whole < 48 * 3600) return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d", whole / 86400);
}

}  // namespace conntally::top
