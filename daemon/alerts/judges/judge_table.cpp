#include "daemon/alerts/judges/judge_table.h"

namespace conntally {

void TableJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  Remember(evidence);
  if (!evidence.table) return;
  const TableStatistics& table = *evidence.table;
  const std::uint64_t limit = table.limit.value_or(0);
  if (limit == 0) return;  // unlimited, or the kernel is too old to report it
  const double usage = static_cast<double>(table.entries) / static_cast<double>(limit);
  const std::vector<AlertFact> facts = {{"entries", static_cast<double>(table.entries)},
                                        {"limit", static_cast<double>(limit)},
                                        {"entries_per_second", evidence.entries_per_second}};
  const bool growing = evidence.entries_per_second > 0;
  const bool fills = std::isfinite(evidence.seconds_until_full);
  if (!rules[AlertKind::kConntrackTableNearlyFull].Quiet(usage)) {
    const std::string trend =
        growing && fills ? fmt::format("growing by {:.1f} a second, full in {}", evidence.entries_per_second,
                                       Span(evidence.seconds_until_full))
        : growing ? fmt::format("growing by {:.1f} a second, to a level below the limit", evidence.entries_per_second)
                  : "not growing";
    into.push_back({{AlertKind::kConntrackTableNearlyFull, {}, {}},
                    usage,
                    fmt::format("{} of {} entries ({}), {}.{}", table.entries, limit, Percent(usage), trend,
                                MostConnections(evidence)),
                    facts});
  }
  // A full table is not predicted to fill any more, but the prediction has not ended either.
  const bool full = table.entries >= limit;
  if (((growing && fills) || full) && usage >= AlertRules::kPredictableUsage &&
      !rules[AlertKind::kConntrackTableFillPredicted].Quiet(evidence.seconds_until_full)) {
    into.push_back(
        {{AlertKind::kConntrackTableFillPredicted, {}, {}},
         evidence.seconds_until_full,
         fmt::format("{} of {} entries ({}), growing by {:.1f} a second: full in {}.{}", table.entries, limit,
                     Percent(usage), evidence.entries_per_second, Span(evidence.seconds_until_full), Drivers(evidence)),
         facts});
  }
}

void TableJudge::Remember(const AlertEvidence& evidence) {
  if (!remembered_.empty() && evidence.now - remembered_.back().when < kGrowthStep) return;
  Remembered now{evidence.now, {}};
  for (const AlertEvidence::Source& source : evidence.sources)
    now.connections.emplace(source.name, source.figures.connections);
  remembered_.push_back(std::move(now));
  while (evidence.now - remembered_.front().when > kGrowthWindow) remembered_.pop_front();
}

// A source that was not remembered then had few connections or none.
std::string TableJudge::Drivers(const AlertEvidence& evidence) const {
  const Remembered& before = remembered_.front();
  std::vector<std::pair<std::int64_t, std::string>> grown;
  for (const auto& source : evidence.sources) {
    const auto then = before.connections.find(source.name);
    grown.emplace_back(source.figures.connections - (then == before.connections.end() ? 0 : then->second), source.name);
  }
  const std::string drivers = FirstOf(std::move(grown));
  if (drivers.empty()) return MostConnections(evidence);
  return fmt::format(" Growth in the last {:.0f} s by: {}.",
                     std::chrono::duration<double>(evidence.now - before.when).count(), drivers);
}

}  // namespace conntally
