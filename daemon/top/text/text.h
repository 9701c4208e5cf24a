// Text for a terminal: made harmless, cut and padded, and figures in few characters. Pure; any thread.
//
// A character takes one column, or two as those of Chinese, Japanese and Korean do; Harmless replaces any other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace conntally::top {

// `text` as one line that a terminal can only show. Control characters, bytes that are no UTF-8 and characters whose
// width is not known become '?', white space becomes a space. Known are Latin, Greek, Cyrillic, Chinese, Japanese and
// Korean. Of more than `characters_max` characters the rest is left out.
std::string Harmless(std::string_view text, std::size_t characters_max = 1000);

// For a terminal that shows no UTF-8: as many columns, with '?' for every other character.
std::string InAscii(std::string_view text);

// In columns, of text that is harmless.
std::size_t Width(std::string_view text);
// Exactly `width` columns: cut, with `~` as its last, or padded.
std::string Left(std::string_view text, std::size_t width);
std::string Right(std::string_view text, std::size_t width);
// Cut to at most `width`.
std::string Cut(std::string_view text, std::size_t width);

std::string Thousands(std::uint64_t number);  // "1,234,567"
std::string Short(double number);             // at most 5 characters: "0", "0.3", "12", "1,234", "57k", "1.2M"
std::string Percent(double share);            // "0%", "0.4%", "37%", "100%"
std::string Age(double seconds);              // "5 s", "3 min", "2 h 05 min", "4 d"

}  // namespace conntally::top
