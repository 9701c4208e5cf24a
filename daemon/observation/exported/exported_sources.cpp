#include "daemon/observation/exported/exported_sources.h"

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/observation/exported/ranking.h"

namespace conntally {

bool ExportedSources::IsExcluded(const IpAddress& source) const {
  return std::any_of(options_.exclude.begin(), options_.exclude.end(),
                     [&](const Prefix& prefix) { return prefix.Contains(source); });
}

void ExportedSources::RankDropped(const std::vector<DropTally::Rated>& dropped, Candidates& candidates) const {
  Ranking<IpAddress> by_drops(options_.top);
  double sum = 0;
  for (const DropTally::Rated& rated : dropped) {
    sum += rated.rate;
    if (!IsExcluded(rated.source)) by_drops.Enter(rated.rate, rated.source);
  }
  for (const auto& entry : by_drops.Take()) candidates[entry.key].share = entry.value / sum;
}

void ExportedSources::RankTallied(const Tally::View& view, Candidates& candidates) {
  struct Ranked {
    IpAddress source;
    bool proven;
  };
  using ByRow = Ranking<SourceRow, Ranked>;  // ties need no address
  std::array<ByRow, 4> rankings{ByRow(options_.top), ByRow(options_.top), ByRow(options_.top), ByRow(options_.top)};
  std::array<double, 4> sums{};
  for (auto& [source, held] : exported_.held()) {
    if (held.kept.row == kNoSourceRow) held.kept.row = view.Find(source);
  }
  for (auto& [source, candidate] : candidates) candidate.row = view.Find(source);
  view.ForEachBlock([&](const Tally::Block& block) {
    sums[0] += static_cast<double>(block.connections);
    sums[1] += block.new_rate;
    sums[2] += static_cast<double>(block.unreplied);
    sums[3] += static_cast<double>(block.proven_connections);
  });
  const auto may_rank = [&](const std::array<double, 4>& values, SourceRow row) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (rankings[i].MayRank(values[i], row)) return true;
    }
    return false;
  };
  view.ForEach(
      [&](const Tally::Source& source) {
        const bool proven = source.proof() == Proof::kProven;
        const auto connections = static_cast<double>(source.connections());
        const std::array<double, 4> values{connections, source.new_rate(), static_cast<double>(source.unreplied()),
                                           proven ? connections : 0};
        if (!may_rank(values, source.row())) return;
        const IpAddress address = source.address();
        if (IsExcluded(address)) return;
        for (std::size_t i = 0; i < values.size(); ++i) rankings[i].Enter(values[i], source.row(), {address, proven});
      },
      [&](const Tally::Block& block, SourceRow first) {
        return may_rank({static_cast<double>(block.connections_max), static_cast<double>(block.new_rate_max),
                         static_cast<double>(block.unreplied_max), static_cast<double>(block.proven_connections_max)},
                        first);
      });
  for (std::size_t i = 0; i < rankings.size(); ++i) {
    for (const auto& entry : rankings[i].Take()) {
      Candidate& candidate = candidates[entry.payload.source];
      candidate.row = entry.key;
      candidate.proven = entry.payload.proven;
      candidate.share = std::max(candidate.share, entry.value / sums[i]);
    }
  }
}

void ExportedSources::DropForgotten(const Tally::View& view) {
  std::erase_if(exported_.held(), [&](const auto& entry) { return IsExcluded(entry.first); });
  for (auto& [source, held] : exported_.held()) {
    SourceRow& row = held.kept.row;
    const auto figures = row != kNoSourceRow ? view.Source(row) : std::nullopt;
    if (!figures || figures->source != source) row = kNoSourceRow;
  }
}

void ExportedSources::Update(const Tally::View& view, const std::vector<DropTally::Rated>& dropped,
                             Clock::time_point now) {
  DropForgotten(view);
  Candidates candidates;
  RankDropped(dropped, candidates);
  RankTallied(view, candidates);
  exported_.Update(candidates, now);
  rows_.clear();
  for (auto& [source, held] : exported_.held()) {
    const auto candidate = candidates.find(source);
    if (candidate != candidates.end() && candidate->second.row != kNoSourceRow) held.kept.row = candidate->second.row;
    if (held.kept.row != kNoSourceRow) rows_.insert(held.kept.row);
  }
}

std::vector<ExportedSources::Exported> ExportedSources::exported() const {
  std::vector<Exported> sources;
  sources.reserve(exported_.held().size());
  for (const auto& [source, held] : exported_.held()) sources.push_back({source, held.kept.row});
  return sources;
}

}  // namespace conntally
