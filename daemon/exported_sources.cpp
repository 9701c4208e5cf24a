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

void KeepTop(std::vector<Candidate>& candidates, std::size_t top) {
  if (candidates.size() <= top) return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(top), candidates.end());
  candidates.resize(top);
}

}  // namespace

bool ExportedSources::IsExcluded(const IpAddress& source) const {
  return std::any_of(options_.exclude.begin(), options_.exclude.end(),
                     [&](const Prefix& prefix) { return prefix.Contains(source); });
}

void ExportedSources::RankDropped(const std::vector<DropTally::Rated>& dropped, Clock::time_point now) {
  std::vector<Candidate> by_drops;
  for (const DropTally::Rated& rated : dropped) {
    if (!IsExcluded(rated.source)) by_drops.push_back({rated.rate, rated.source, kNoSourceRow});
  }
  KeepTop(by_drops, options_.top);
  for (const Candidate& candidate : by_drops) exported_[candidate.source].last_ranked = now;
}

void ExportedSources::RankTallied(const Tally::View& view, Clock::time_point now) {
  std::vector<Candidate> by_connections;
  std::vector<Candidate> by_new_rate;
  std::vector<Candidate> by_unreplied;
  // Who is exported without a row, and may have one by now.
  std::map<IpAddress, Held*> without_row;
  for (auto& [source, held] : exported_) {
    if (held.row == kNoSourceRow) without_row.emplace(source, &held);
  }
  view.ForEachSource([&](SourceRow row, const SourceFigures& figures) {
    if (!without_row.empty()) {
      if (const auto found = without_row.find(figures.source); found != without_row.end()) found->second->row = row;
    }
    const auto enter = [&](std::vector<Candidate>& candidates, double value) {
      if (value > 0) candidates.push_back({value, figures.source, row});
    };
    if (figures.connections == 0 && figures.new_rate == 0) return;
    if (IsExcluded(figures.source)) return;
    enter(by_connections, static_cast<double>(figures.connections));
    enter(by_new_rate, figures.new_rate);
    enter(by_unreplied, static_cast<double>(figures.unreplied));
  });
  for (std::vector<Candidate>* ranking : {&by_connections, &by_new_rate, &by_unreplied}) {
    KeepTop(*ranking, options_.top);
    for (const Candidate& candidate : *ranking) exported_[candidate.source] = {now, candidate.row};
  }
}

void ExportedSources::Update(const Tally::View& view, const std::vector<DropTally::Rated>& dropped, Clock::time_point now) {
  // A reload may have excluded sources that are held.
  std::erase_if(exported_, [&](const auto& entry) { return IsExcluded(entry.first); });
  for (auto& [source, held] : exported_) {
    const SourceFigures* figures = held.row != kNoSourceRow ? view.Source(held.row) : nullptr;
    if (figures == nullptr || figures->source != source) held.row = kNoSourceRow;
  }
  RankDropped(dropped, now);
  RankTallied(view, now);
  DropDeparted(now);
  rows_.clear();
  for (const auto& [source, held] : exported_) {
    if (held.row != kNoSourceRow) rows_.insert(held.row);
  }
}

void ExportedSources::DropDeparted(Clock::time_point now) {
  std::vector<std::pair<Clock::time_point, IpAddress>> departed;
  for (auto entry = exported_.begin(); entry != exported_.end();) {
    const Clock::time_point last_ranked = entry->second.last_ranked;
    const bool expired = last_ranked != now && now - last_ranked >= options_.hold;
    if (last_ranked != now && !expired) departed.emplace_back(last_ranked, entry->first);
    entry = expired ? exported_.erase(entry) : std::next(entry);
  }
  if (departed.size() <= held_max()) return;
  std::sort(departed.begin(), departed.end());
  const std::size_t excess = departed.size() - held_max();
  for (std::size_t i = 0; i < excess; ++i) exported_.erase(departed[i].second);
  holds_turned_away_ += excess;
}

std::vector<ExportedSources::Exported> ExportedSources::exported() const {
  std::vector<Exported> sources;
  sources.reserve(exported_.size());
  for (const auto& [source, held] : exported_) sources.push_back({source, held.row});
  return sources;
}

}  // namespace conntally
