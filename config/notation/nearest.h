// Guesses what a mistyped name was meant to be. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace conntally {

// The least number of letters put in, taken out, changed, or swapped with their neighbour (optimal string
// alignment) that makes `a` into `b`.
std::size_t EditDistance(std::string_view a, std::string_view b);

// The candidate that `word` most likely stands for: at most a third of its letters wrong. The first of
// equals.
std::optional<std::string> Nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace conntally
