// Text for a terminal: makes it harmless, cuts and pads it, and writes figures in few characters. Pure; any thread.
//
// A character takes one column, or two if it is Chinese, Japanese or Korean; Harmless replaces all others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace conntally::top {

// `text` as one line that cannot control a terminal. Control characters, bytes that are not UTF-8, and characters of
// unknown width become '?', white space becomes a space. Known are Latin, Greek, Cyrillic, Chinese, Japanese and
// Korean. Characters beyond `characters_max` are left out.
std::string Harmless(std::string_view text, std::size_t characters_max = 1000);

// For a terminal without UTF-8: the same number of columns, with '?' for every non-ASCII character.
std::string InAscii(std::string_view text);

// The width of harmless text, in columns.
std::size_t Width(std::string_view text);
// Exactly `width` columns: cut, with `~` at the end, or padded.
std::string Left(std::string_view text, std::size_t width);
std::string Right(std::string_view text, std::size_t width);
// Cut to at most `width` columns.
std::string Cut(std::string_view text, std::size_t width);

std::string Thousands(std::uint64_t number);  // "1,234,567"
std::string Short(double number);             // at most 5 characters: "0", "0.3", "12", "1,234", "57k", "1.2M"
std::string Percent(double share);            // "0%", "0.4%", "37%", "100%"
std::string Age(double seconds);              // "5 s", "3 min", "2 h 05 min", "4 d"

}  // namespace conntally::top
