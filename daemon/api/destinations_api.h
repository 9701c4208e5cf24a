// /api/v1/destinations?sort=connections|unreplied|new_rate&limit=50&destination=CIDR: whom the connections want, before
// any translation and, where they go elsewhere, after it, and the sources that hold most of them. Every destination
// that the last survey has a place for; its rows are written piece by piece.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <optional>

#include "collectors/conntrack/surveys/destination_survey.h"
#include "collectors/system/result.h"
#include "daemon/http/message.h"
#include "daemon/observation/observer.h"

namespace conntally {

struct DestinationsQuery {
  enum class Sort { kConnections, kUnreplied, kNewRate };

  Sort sort = Sort::kConnections;
  std::size_t limit = 50;
  std::optional<Prefix> within = std::nullopt;  // all, when absent
};

Result<DestinationsQuery> ParseDestinationsQuery(const http::Request& request);

// The first of those asked for, in the order asked for, equals by destination. `total` becomes how many there are.
// They point into the survey. Pure.
std::vector<const DestinationFigures::OfDestination*> RankDestinations(const DestinationFigures& survey,
                                                                       const DestinationsQuery& query,
                                                                       std::size_t& total);

http::Response AnswerDestinations(Observer& observer, const http::Request& request);

// Long lists must not keep short ones waiting.
http::Lane DestinationsLane(const http::Request& request);

}  // namespace conntally
