#include "daemon/observation/exported/exported_destinations.h"

#include <algorithm>

namespace conntally {

void ExportedDestinations::Update(const std::shared_ptr<const DestinationFigures>& survey, Clock::time_point now) {
  if (survey == nullptr) return;
  if (survey != ranked_) Rank(*survey);
  ranked_ = survey;
  exported_.Update(candidates_, now);
  TakeCounts(*survey);
}

void ExportedDestinations::Rank(const DestinationFigures& survey) {
  using OfDestination = DestinationFigures::OfDestination;
  std::vector<const OfDestination*> first;
  first.reserve(survey.destinations.size());
  for (const OfDestination& each : survey.destinations) first.push_back(&each);
  const std::size_t count = std::min<std::size_t>(top_, first.size());
  std::partial_sort(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(count), first.end(),
                    [](const OfDestination* a, const OfDestination* b) {
                      return a->connections != b->connections ? a->connections > b->connections
                                                              : a->destination < b->destination;
                    });
  first.resize(count);
  candidates_.clear();
  for (const OfDestination* each : first) {
    Set::Candidate& candidate = candidates_[each->destination];
    candidate.proven = each->unreplied < each->connections;
    candidate.share = each->connections / static_cast<double>(survey.connections);
  }
}

void ExportedDestinations::TakeCounts(const DestinationFigures& survey) {
  for (auto& [destination, held] : exported_.held()) held.kept = {survey.whole, 0, 0};
  if (exported_.held().empty()) return;
  for (const auto& each : survey.destinations) {
    const auto held = exported_.held().find(each.destination);
    if (held != exported_.held().end()) held->second.kept = {true, each.connections, each.unreplied};
  }
}

ExportedDestinations::Split ExportedDestinations::Divide(std::int64_t connections) const {
  Split split;
  std::int64_t sum = 0;
  for (const auto& [destination, held] : exported_.held()) {
    if (!held.kept.known) continue;
    split.exported.push_back({destination, held.kept.connections, held.kept.unreplied});
    sum += held.kept.connections;
  }
  connections = std::max<std::int64_t>(connections, 0);
  split.others = connections - sum;
  if (split.others >= 0) return split;
  split.others = connections;
  for (ExportedDestination& each : split.exported) {
    each.connections = each.connections * connections / sum;
    each.unreplied = std::min(each.unreplied, each.connections);
    split.others -= each.connections;
  }
  return split;
}

}  // namespace conntally
