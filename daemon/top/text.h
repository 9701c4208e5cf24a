// Text for a terminal: made harmless, cut and padded, and figures in few characters. Pure; any thread.
//
// One character is one column here: whatever is wider, narrower or moves the cursor is replaced by Harmless.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace conntally::top {

// `text` as one line that a terminal can only show: control characters, bytes that are no UTF-8 and characters that are
// not known to be one column wide (left-to-right scripts of Latin, Greek and Cyrillic are) become '?', white space a
// space. Of more than `characters_max` characters the rest is left out.
std::string Harmless(std::string_view text, std::size_t characters_max = 1000);

// In characters, of text that is harmless.
std::size_t Width(std::string_view text);
// Exactly `width` characters: cut, with `~` as its last, or padded.
std::string Left(std::string_view text, std::size_t width);
std::string Right(std::string_view text, std::size_t width);
// Cut to at most `width`.
std::string Cut(std::string_view text, std::size_t width);

std::string Thousands(std::uint64_t number);  // "1,234,567"
std::string Short(double number);             // at most 5 characters: "0", "0.3", "12", "1,234", "57k", "1.2M"
std::string Percent(double share);            // "0%", "0.4%", "37%", "100%"
std::string Age(double seconds);              // "5 s", "3 min", "2 h 05 min", "4 d"

}  // namespace conntally::top
