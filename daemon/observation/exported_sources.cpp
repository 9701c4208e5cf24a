#include "daemon/observation/exported_sources.h"

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/observation/ranking.h"

namespace conntally {
namespace {

constexpr double kHeavyShare = 0.01;

}  // namespace

bool ExportedSources::IsExcluded(const IpAddress& source) const {
  return std::any_of(options_.exclude.begin(), options_.exclude.end(),
                     [&](const Prefix& prefix) { return prefix.Contains(source); });
}

void ExportedSources::RankDropped(const std::vector<DropTally::Rated>& dropped, Candidates& candidates) const {
  Ranking<SourceRow> by_drops(options_.top);
  double sum = 0;
  for (const DropTally::Rated& rated : dropped) {
    sum += rated.rate;
    if (!IsExcluded(rated.source)) by_drops.Enter(rated.rate, rated.source, [] { return kNoSourceRow; });
  }
  for (const auto& entry : by_drops.Take()) candidates[entry.source].share = entry.value / sum;
}

void ExportedSources::RankTallied(const Tally::View& view, Candidates& candidates) {
  struct Ranked {
    SourceRow row;
    bool proven;
  };
  std::array<Ranking<Ranked>, 4> rankings{Ranking<Ranked>(options_.top), Ranking<Ranked>(options_.top),
                                          Ranking<Ranked>(options_.top), Ranking<Ranked>(options_.top)};
  std::array<double, 4> sums{};
  // Who is exported, or a candidate, without a row, and may have one by now.
  std::map<IpAddress, SourceRow*> without_row;
  for (auto& [source, held] : exported_) {
    if (held.row == kNoSourceRow) without_row.emplace(source, &held.row);
  }
  for (auto& [source, candidate] : candidates) without_row.emplace(source, &candidate.row);
  view.ForEachSource([&](SourceRow row, const SourceFigures& figures) {
    if (!without_row.empty()) {
      if (const auto found = without_row.find(figures.source); found != without_row.end()) *found->second = row;
    }
    if (figures.connections == 0 && figures.new_rate == 0) return;
    const bool proven = figures.proof == Proof::kProven;
    const auto connections = static_cast<double>(figures.connections);
    const std::array<double, 4> values{connections, figures.new_rate, static_cast<double>(figures.unreplied),
                                       proven ? connections : 0};
    const bool excluded = IsExcluded(figures.source);
    for (std::size_t i = 0; i < values.size(); ++i) {
      sums[i] += values[i];
      if (!excluded) rankings[i].Enter(values[i], figures.source, [&] { return Ranked{row, proven}; });
    }
  });
  for (std::size_t i = 0; i < rankings.size(); ++i) {
    for (const auto& entry : rankings[i].Take()) {
      Candidate& candidate = candidates[entry.source];
      candidate.row = entry.payload.row;
      candidate.proven = entry.payload.proven;
      candidate.share = std::max(candidate.share, entry.value / sums[i]);
    }
  }
}

SeriesBudget::Class ExportedSources::Candidate::budget_class() const {
  using Class = SeriesBudget::Class;
  return proven ? Class::kProven : share >= kHeavyShare ? Class::kHeavy : Class::kOther;
}

void ExportedSources::Admit(const Candidates& candidates, Clock::time_point now) {
  std::vector<const Candidates::value_type*> newcomers;
  for (const auto& candidate : candidates) {
    const auto held = exported_.find(candidate.first);
    if (held == exported_.end()) {
      newcomers.push_back(&candidate);
      continue;
    }
    held->second.last_ranked = now;
    if (candidate.second.row != kNoSourceRow) held->second.row = candidate.second.row;
  }
  std::erase_if(waiting_, [&](const auto& waiting) { return !candidates.contains(waiting.first); });
  std::stable_sort(newcomers.begin(), newcomers.end(), [](const auto* a, const auto* b) {
    const auto place = [](const Candidate& one) { return std::pair(one.budget_class(), -one.share); };
    return place(a->second) < place(b->second);
  });
  budget_.Advance(now);
  std::uint64_t held_back = 0;
  for (const auto* newcomer : newcomers) {
    const auto& [source, candidate] = *newcomer;
    const auto since = waiting_.try_emplace(source, now).first->second;
    const bool stays = now - since >= kPlaceHeld;
    if (!budget_.Take(candidate.budget_class(), stays)) {
      if (stays) ++held_back;
      continue;
    }
    waiting_.erase(source);
    exported_[source] = {now, candidate.row};
  }
  held_back_.EndRound(held_back);
}

void ExportedSources::DropForgotten(const Tally::View& view) {
  std::erase_if(exported_, [&](const auto& entry) { return IsExcluded(entry.first); });
  for (auto& [source, held] : exported_) {
    const auto figures = held.row != kNoSourceRow ? view.Source(held.row) : std::nullopt;
    if (!figures || figures->source != source) held.row = kNoSourceRow;
  }
}

void ExportedSources::Update(const Tally::View& view, const std::vector<DropTally::Rated>& dropped,
                             Clock::time_point now) {
  DropForgotten(view);
  Candidates candidates;
  RankDropped(dropped, candidates);
  RankTallied(view, candidates);
  Admit(candidates, now);
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
