// What the judges have in common. Each judges one family of alerts: it turns evidence into readings, and remembers what
// it needs of the past. `Save` returns this memory, so that a restart need not learn it again; `Restore` returns the
// reason if it could not use a part, else an empty text. Pure except for their memory. Threads: one owner.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "daemon/alerts/evidence/evidence.h"
#include "daemon/alerts/kinds/alert_reading.h"
#include "daemon/alerts/kinds/alert_rules.h"

namespace conntally {

using Readings = std::vector<AlertReading>;

inline std::string Percent(double ratio) { return fmt::format("{:.1f} %", ratio * 100); }

inline std::string Span(double seconds) {
  if (seconds >= 5400) return fmt::format("{:.1f} h", seconds / 3600);
  if (seconds >= 120) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} s", seconds);
}

// "192.0.2.7 (1200), ..." of the first few by count; only counts above zero.
inline std::string FirstOf(std::vector<std::pair<std::int64_t, std::string>> counted, std::size_t most = 3) {
  std::erase_if(counted, [](const auto& each) { return each.first <= 0; });
  std::sort(counted.begin(), counted.end(), [](const auto& one, const auto& other) {
    return one.first != other.first ? one.first > other.first : one.second < other.second;
  });
  std::string text;
  for (std::size_t i = 0; i < counted.size() && i < most; ++i)
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", counted[i].second, counted[i].first);
  return text;
}

inline std::string MostConnections(const AlertEvidence& evidence) {
  std::vector<std::pair<std::int64_t, std::string>> counted;
  for (const auto& source : evidence.sources) counted.emplace_back(source.figures.connections, source.name);
  const std::string first = FirstOf(std::move(counted));
  return first.empty() ? "" : " Most connections: " + first + ".";
}

// Regular: proven, or answered, in several of the last minutes.
inline constexpr std::uint8_t kRegularMinutes = SourceFigures::kRegularMinutesMin;
inline Standing StandingOf(const SourceFigures& figures) {
  if (figures.regular_minutes >= kRegularMinutes) return Standing::kRegular;
  switch (figures.proof) {
    case Proof::kProven: return Standing::kProven;
    case Proof::kAnswered: return Standing::kAnswered;
    case Proof::kUnanswered: break;
  }
  return Standing::kUnanswered;
}

}  // namespace conntally
