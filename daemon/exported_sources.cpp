#include "daemon/exported_sources.h"

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

  void AppendTo(std::vector<SourceRow>& rows) {
    if (first_.size() > top_) Cut();
    for (const Candidate& candidate : first_) rows.push_back(candidate.row);
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

std::vector<SourceRow> ExportedSources::Ranked(const Tally::View& view) const {
  Ranking by_connections(options_.top);
  Ranking by_new_rate(options_.top);
  Ranking by_unreplied(options_.top);
  view.ForEachSource([&](SourceRow row, const SourceFigures& figures) {
    if (figures.connections == 0 && figures.new_rate == 0) return;
    if (IsExcluded(figures.source)) return;
    by_connections.Enter(static_cast<double>(figures.connections), figures.source, row);
    by_new_rate.Enter(figures.new_rate, figures.source, row);
    by_unreplied.Enter(static_cast<double>(figures.unreplied), figures.source, row);
  });
  std::vector<SourceRow> rows;
  by_connections.AppendTo(rows);
  by_new_rate.AppendTo(rows);
  by_unreplied.AppendTo(rows);
  return rows;
}

void ExportedSources::DropForgotten(const Tally::View& view) {
  std::erase_if(exported_, [&](const auto& entry) {
    const SourceFigures* figures = view.Source(entry.first);
    return figures == nullptr || IsExcluded(figures->source);
  });
}

void ExportedSources::Update(const Tally::View& view, Clock::time_point now) {
  DropForgotten(view);
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
