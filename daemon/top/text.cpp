#include "daemon/top/text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "config/notation.h"

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

bool IsOneColumn(std::uint32_t character) {
  if (character < 0x20 || character == 0x7f) return false;
  if (character < 0x7f) return true;
  if (character < 0xa1 || character == 0xad) return false;    // C1 controls, soft hyphen
  if (character <= 0x24f) return true;                        // Latin
  if (character >= 0x391 && character <= 0x3ce) return true;  // Greek
  return character >= 0x400 && character <= 0x45f;            // Cyrillic
}

bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Bytes of the first `characters` of it.
std::size_t BytesOf(std::string_view text, std::size_t characters) {
  std::size_t bytes = 0;
  while (bytes < text.size() && characters > 0) {
    ++bytes;
    while (bytes < text.size() && Continues(text[bytes])) ++bytes;
    --characters;
  }
  return bytes;
}

}  // namespace

std::string Harmless(std::string_view text, std::size_t characters_max) {
  std::string harmless;
  for (std::size_t count = 0; !text.empty() && count < characters_max; ++count) {
    const std::size_t length = std::max<std::size_t>(Utf8Length(text), 1);
    const std::string_view character = text.substr(0, length);
    if (character == "\t" || character == "\n" || character == "\r") {
      harmless += ' ';
    } else if (Utf8Length(text) != 0 && IsOneColumn(Decode(character))) {
      harmless += character;
    } else {
      harmless += '?';
    }
    text.remove_prefix(length);
  }
  return harmless;
}

std::size_t Width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !Continues(byte); }));
}

std::string Cut(std::string_view text, std::size_t width) {
  if (Width(text) <= width) return std::string(text);
  if (width == 0) return {};
  return std::string(text.substr(0, BytesOf(text, width - 1))).append(1, '~');
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
  const auto whole = static_cast<std::uint64_t>(std::max(0.0, seconds));
  if (whole < 100) return fmt::format("{} s", whole);
  if (whole < 100 * 60) return fmt::format("{} min", whole / 60);
  if (whole < 48 * 3600) return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d", whole / 86400);
}

}  // namespace conntally::top
