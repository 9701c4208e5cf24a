// /api/v1/destinations?sort=connections|unreplied|new_rate&limit=50&destination=CIDR: the connections' destinations
// before translation and, if it differs, after it, with the sources that hold most of them. It has every destination
// that has a place in the last survey; the rows are written piece by piece.
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
  std::optional<Prefix> within = std::nullopt;  // absent: all
};

Result<DestinationsQuery> ParseDestinationsQuery(const http::Request& request);

// The first destinations that match the query, in its order, ties by destination. Sets `total` to the number that
// match. The results point into the survey. Pure.
std::vector<const DestinationFigures::OfDestination*> RankDestinations(const DestinationFigures& survey,
                                                                       const DestinationsQuery& query,
                                                                       std::size_t& total);

http::Response AnswerDestinations(Observer& observer, const http::Request& request);

// Long lists have their own lane, so that they do not delay short ones.
http::Lane DestinationsLane(const http::Request& request);

}  // namespace conntally
