#include "config/notation/nearest.h"

#include <algorithm>
#include <vector>

namespace conntally {
namespace {

// All our names are much shorter; a longer word is not worth the quadratic time.
constexpr std::size_t kWordBytesMax = 64;
// A prefix of this length is an abbreviation ("warn"), not a coincidence.
constexpr std::size_t kBeginningBytesMin = 3;

}  // namespace

std::size_t EditDistance(std::string_view a, std::string_view b) {
  // Three rows of the distances between all prefixes of `a` and `b`.
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, changed});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<std::string> Nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() > kWordBytesMax) return std::nullopt;
  std::optional<std::string> nearest;
  std::size_t nearest_distance = 0;
  for (const std::string& candidate : candidates) {
    const bool is_shortened = word.size() >= kBeginningBytesMin && candidate.starts_with(word);
    const std::size_t distance = is_shortened ? 1 : EditDistance(word, candidate);
    if (distance > std::max<std::size_t>(1, std::max(word.size(), candidate.size()) / 3)) continue;
    if (nearest && distance >= nearest_distance) continue;
    nearest = candidate;
    nearest_distance = distance;
  }
  return nearest;
}

}  // namespace conntally
