// What can be said of whether a packet satisfies something: yes, no, or nobody can tell. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace conntally {

enum class Match : std::uint8_t { kNo, kMaybe, kYes };  // in this order: the weakest of several counts

constexpr Match Known(bool holds) { return holds ? Match::kYes : Match::kNo; }
constexpr Match Both(Match a, Match b) { return std::min(a, b); }
constexpr Match Either(Match a, Match b) { return std::max(a, b); }
constexpr Match Not(Match match) { return match == Match::kMaybe ? match : Known(match == Match::kNo); }

}  // namespace conntally
