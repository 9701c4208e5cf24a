// Guesses what a mistyped name was meant to be. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace conntally {

// The least number of insertions, deletions, changes and swaps of neighbouring letters (optimal string alignment) that
// turns `a` into `b`.
std::size_t EditDistance(std::string_view a, std::string_view b);

// The candidate that `word` most likely means, with at most a third of its letters wrong; the first of equal ones.
std::optional<std::string> Nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace conntally
