#include "daemon/observation/exported_sources.h"

#include <algorithm>
#include <optional>
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

// The first `top` of what is entered, in memory bounded by that and not by how many are entered.
class Ranking {
 public:
  explicit Ranking(std::size_t top) : top_(top) {}

  void Enter(double value, const IpAddress& source, SourceRow row) {
    if (value <= 0 || top_ == 0) return;
    const Candidate candidate{value, source, row};
    if (least_ && !(candidate < *least_)) return;
    first_.push_back(candidate);
    if (first_.size() >= 2 * top_) Cut();
  }

  const std::vector<Candidate>& Top() {
    if (first_.size() > top_) Cut();
    return first_;
  }

 private:
  void Cut() {
    const auto last = first_.begin() + static_cast<std::ptrdiff_t>(top_) - 1;
    std::nth_element(first_.begin(), last, first_.end());
    least_ = *last;
    first_.resize(top_);
  }

  std::size_t top_;
  std::optional<Candidate> least_;  // what does not come before it is not among the first
  std::vector<Candidate> first_;
};

}  // namespace

bool ExportedSources::IsExcluded(const IpAddress& source) const {
  return std::any_of(options_.exclude.begin(), options_.exclude.end(),
                     [&](const Prefix& prefix) { return prefix.Contains(source); });
}

void ExportedSources::RankDropped(const std::vector<DropTally::Rated>& dropped, Clock::time_point now) {
  Ranking by_drops(options_.top);
  for (const DropTally::Rated& rated : dropped) {
    if (!IsExcluded(rated.source)) by_drops.Enter(rated.rate, rated.source, kNoSourceRow);
  }
  for (const Candidate& candidate : by_drops.Top()) exported_[candidate.source].last_ranked = now;
}

void ExportedSources::RankTallied(const Tally::View& view, Clock::time_point now) {
  Ranking by_connections(options_.top);
  Ranking by_new_rate(options_.top);
  Ranking by_unreplied(options_.top);
  // Who is exported without a row, and may have one by now.
  std::map<IpAddress, Held*> without_row;
  for (auto& [source, held] : exported_) {
    if (held.row == kNoSourceRow) without_row.emplace(source, &held);
  }
  view.ForEachSource([&](SourceRow row, const SourceFigures& figures) {
    if (!without_row.empty()) {
      if (const auto found = without_row.find(figures.source); found != without_row.end()) found->second->row = row;
    }
    if (figures.connections == 0 && figures.new_rate == 0) return;
    if (IsExcluded(figures.source)) return;
    by_connections.Enter(static_cast<double>(figures.connections), figures.source, row);
    by_new_rate.Enter(figures.new_rate, figures.source, row);
    by_unreplied.Enter(static_cast<double>(figures.unreplied), figures.source, row);
  });
  for (Ranking* ranking : {&by_connections, &by_new_rate, &by_unreplied}) {
    for (const Candidate& candidate : ranking->Top()) exported_[candidate.source] = {now, candidate.row};
  }
}

void ExportedSources::DropForgotten(const Tally::View& view) {
  std::erase_if(exported_, [&](const auto& entry) { return IsExcluded(entry.first); });
  for (auto& [source, held] : exported_) {
    const SourceFigures* figures = held.row != kNoSourceRow ? view.Source(held.row) : nullptr;
    if (figures == nullptr || figures->source != source) held.row = kNoSourceRow;
  }
}

void ExportedSources::Update(const Tally::View& view, const std::vector<DropTally::Rated>& dropped,
                             Clock::time_point now) {
  DropForgotten(view);
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
