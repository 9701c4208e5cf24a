#include "collectors/system/shown_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

namespace conntally {
namespace {

// The code point of a character that Utf8Length has measured.
std::uint32_t Decode(std::string_view character) {
  const auto first = static_cast<unsigned char>(character.front());
  std::uint32_t code = character.size() == 1 ? first : first & (0x7fU >> character.size());
  for (const char next : character.substr(1)) code = code << 6U | (static_cast<unsigned char>(next) & 0x3fU);
  return code;
}

// Unicode's categories Cc, Cf, Zl and Zp, as far as they control, reverse or hide text.
bool Misleads(std::uint32_t code) {
  struct Block {
    std::uint32_t first, last;
  };
  static constexpr Block kBlocks[] = {
      {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x180e, 0x180e},   {0x200b, 0x200f},
      {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xffff}, {0x1bca0, 0x1bca3}, {0xe0000, 0xe0fff},
  };
  return std::any_of(std::begin(kBlocks), std::end(kBlocks),
                     [&](const Block& block) { return code >= block.first && code <= block.last; });
}

// The first character of non-empty text; one byte if it is not UTF-8.
std::string_view FirstOf(std::string_view text) { return text.substr(0, std::max<std::size_t>(Utf8Length(text), 1)); }

bool IsShown(std::string_view character) { return Utf8Length(character) != 0 && !Misleads(Decode(character)); }

// Whether these bytes may be the start of an incomplete character.
bool IsBegun(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes.front());
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;
  return first <= 0xf4 && bytes.size() < length && std::all_of(bytes.begin() + 1, bytes.end(), [](char byte) {
           return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80;
         });
}

std::string Escaped(std::uint32_t code) {
  std::array<char, 16> text{};
  const int size = code > 0xffff ? std::snprintf(text.data(), text.size(), "\\u%04x\\u%04x", 0xd7c0U + (code >> 10U),
                                                 0xdc00U + (code & 0x3ffU))
                                 : std::snprintf(text.data(), text.size(), "\\u%04x", code);
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace

std::size_t Utf8Length(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and code points above U+10FFFF.
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

std::string ShownLine(std::string_view text, std::size_t bytes_max) {
  std::string line;
  while (!text.empty()) {
    const std::string_view character = FirstOf(text);
    const bool is_space = character == "\t" || character == "\n" || character == "\r";
    const std::string_view shown = is_space ? " " : IsShown(character) ? character : "?";
    if (line.size() + shown.size() > bytes_max) break;
    line += shown;
    text.remove_prefix(character.size());
  }
  return line;
}

std::string ShownLine(std::string_view text) { return ShownLine(text, std::string::npos); }

std::string ShownJson(std::string_view json) {
  std::string shown;
  while (!json.empty()) {
    const std::string_view character = FirstOf(json);
    const bool is_space = character == "\t" || character == "\n" || character == "\r";
    const bool is_text = Utf8Length(character) != 0;
    if (is_space || IsShown(character)) {
      shown += character;
    } else {
      shown += is_text ? Escaped(Decode(character)) : "?";
    }
    json.remove_prefix(character.size());
  }
  return shown;
}

ShownStream::~ShownStream() {
  ShownStream::sync();
  stream_.rdbuf(behind_);
}

// If a write ends within a character, only that part is kept for the next write.
bool ShownStream::Pass(std::string_view text) {
  begun_ += text;
  std::string_view left = begun_;
  std::string shown;
  while (!left.empty()) {
    const std::string_view character = FirstOf(left);
    if (Utf8Length(left) == 0 && IsBegun(left)) break;
    shown += character == "\n" || character == "\t" ? std::string(character) : ShownLine(character);
    left.remove_prefix(character.size());
  }
  begun_ = std::string(left);
  const auto size = static_cast<std::streamsize>(shown.size());
  return behind_->sputn(shown.data(), size) == size;
}

ShownStream::int_type ShownStream::overflow(int_type character) {
  if (traits_type::eq_int_type(character, traits_type::eof())) return traits_type::not_eof(character);
  const char byte = traits_type::to_char_type(character);
  return Pass({&byte, 1}) ? character : traits_type::eof();
}

std::streamsize ShownStream::xsputn(const char* text, std::streamsize size) {
  return Pass({text, static_cast<std::size_t>(size)}) ? size : 0;
}

int ShownStream::sync() { return behind_->pubsync(); }

}  // namespace conntally
