#include "daemon/exported_sources.h"

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

// By value, then by address, so that equals are cut the same way each time.
struct Candidate {
  double value;
  IpAddress source;
  SourceRow row;

  bool operator<(const Candidate& other) const {
    return value != other.value ? value > other.value : source < other.source;
  }
};

void AppendTop(std::vector<Candidate>& candidates, std::size_t top, std::vector<SourceRow>& rows) {
  if (candidates.size() > top) {
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(top), candidates.end());
    candidates.resize(top);
  }
  for (const Candidate& candidate : candidates) rows.push_back(candidate.row);
}

}  // namespace

bool ExportedSources::IsExcluded(const IpAddress& source) const {
  return std::any_of(options_.exclude.begin(), options_.exclude.end(),
                     [&](const Prefix& prefix) { return prefix.Contains(source); });
}

std::vector<SourceRow> ExportedSources::Ranked(const Tally::View& view) const {
  std::vector<Candidate> by_connections;
  std::vector<Candidate> by_new_rate;
  std::vector<Candidate> by_unreplied;
  view.ForEachSource([&](SourceRow row, const SourceFigures& figures) {
    const auto enter = [&](std::vector<Candidate>& candidates, double value) {
      if (value > 0) candidates.push_back({value, figures.source, row});
    };
    if (figures.connections == 0 && figures.new_rate == 0) return;
    if (IsExcluded(figures.source)) return;
    enter(by_connections, static_cast<double>(figures.connections));
    enter(by_new_rate, figures.new_rate);
    enter(by_unreplied, static_cast<double>(figures.unreplied));
  });
  std::vector<SourceRow> rows;
  AppendTop(by_connections, options_.top, rows);
  AppendTop(by_new_rate, options_.top, rows);
  AppendTop(by_unreplied, options_.top, rows);
  return rows;
}

void ExportedSources::Update(const Tally::View& view, Clock::time_point now) {
  // A reload may have excluded sources that are held.
  std::erase_if(exported_, [&](const auto& entry) {
    const SourceFigures* figures = view.Source(entry.first);
    return figures == nullptr || IsExcluded(figures->source);
  });
  for (const SourceRow row : Ranked(view)) exported_[row] = now;
  DropDeparted(now);
}

void ExportedSources::DropDeparted(Clock::time_point now) {
  std::vector<std::pair<Clock::time_point, SourceRow>> departed;
  for (auto entry = exported_.begin(); entry != exported_.end();) {
    const bool expired = entry->second != now && now - entry->second >= options_.hold;
    if (entry->second != now && !expired) departed.emplace_back(entry->second, entry->first);
    entry = expired ? exported_.erase(entry) : std::next(entry);
  }
  if (departed.size() <= held_max()) return;
  std::sort(departed.begin(), departed.end());
  const std::size_t excess = departed.size() - held_max();
  for (std::size_t i = 0; i < excess; ++i) exported_.erase(departed[i].second);
  holds_turned_away_ += excess;
}

std::vector<SourceRow> ExportedSources::rows() const {
  std::vector<SourceRow> rows;
  rows.reserve(exported_.size());
  for (const auto& [row, last_ranked] : exported_) rows.push_back(row);
  return rows;
}

}  // namespace conntally
