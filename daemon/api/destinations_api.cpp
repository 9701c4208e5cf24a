#include "daemon/api/destinations_api.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "collectors/tally/protocol_names.h"
#include "daemon/api/values/query_values.h"

namespace conntally {
namespace {

using OfDestination = DestinationFigures::OfDestination;

constexpr std::size_t kDestinationsPerPiece = 128;

double ValueOf(const OfDestination& destination, DestinationsQuery::Sort sort) {
  switch (sort) {
    case DestinationsQuery::Sort::kConnections: return destination.connections;
    case DestinationsQuery::Sort::kUnreplied: return destination.unreplied;
    case DestinationsQuery::Sort::kNewRate: return destination.opened_lately;
  }
  return 0;
}

// The translated destinations, if they differ.
std::string TranslatedJson(const NatFigures* nat, const Destination& destination) {
  if (nat == nullptr) return {};
  std::string translated;
  const auto [first, last] =
      std::ranges::equal_range(nat->destinations, destination, {}, &DestinationTranslation::before);
  for (auto each = first; each != last; ++each) {
    translated +=
        fmt::format(R"({}{{"destination": "{}", "port": {}, "connections": {}}})", translated.empty() ? "" : ", ",
                    each->after.address.ToString(), each->after.port, each->connections);
  }
  return translated.empty() ? "" : fmt::format(R"(, "translated": [{}])", translated);
}

// Nothing in it needs escaping.
std::string RowJson(const Observer& observer, const NatFigures* nat, const OfDestination& row) {
  std::string sources;
  for (const DestinationFigures::Source& source : row.sources) {
    if (source.connections == 0) break;
    sources += fmt::format(R"({}{{"source": "{}", "connections": {}}})", sources.empty() ? "" : ", ",
                           observer.NameOf(source.address), source.connections);
  }
  const Destination& to = row.destination;
  return fmt::format(R"({{"destination": "{}", "port": {}, "protocol": "{}", "connections": {}, "unreplied": {}, )"
                     R"("new_rate": {:.1f}, "sources": [{}]{}}})",
                     to.address.ToString(), to.port, ProtocolName(to.protocol), row.connections, row.unreplied,
                     row.new_rate(), sources, TranslatedJson(nat, to));
}

// The data of an answer.
struct RankedDestinations {
  std::shared_ptr<const DestinationFigures> survey;  // that the rows point into
  std::shared_ptr<const NatFigures> nat;             // null: unknown yet
  std::vector<const OfDestination*> rows;
  std::size_t total = 0;
  bool synced = false;

  // The next rows from `next` on, with the answer's head and foot.
  std::string Piece(const Observer& observer, std::size_t& next) const {
    if (next > rows.size()) return {};
    std::string piece = next == 0 ? "{\"destinations\": [" : "";
    const std::size_t end = std::min(next + kDestinationsPerPiece, rows.size());
    for (; next < end; ++next) piece += (next > 0 ? ",\n" : "") + RowJson(observer, nat.get(), *rows[next]);
    if (next < rows.size()) return piece;
    ++next;
    return piece + fmt::format("], \"total\": {}, \"complete\": {}, \"synced\": {}}}\n", total, survey->whole, synced);
  }
};

}  // namespace

Result<DestinationsQuery> ParseDestinationsQuery(const http::Request& request) {
  DestinationsQuery query;
  std::set<std::string> seen;
  for (const auto& [name, value] : request.query) {
    if (!seen.insert(name).second) return Error{"'" + name + "' is given twice"};
    if (name == "sort") {
      using Sort = DestinationsQuery::Sort;
      static const std::map<std::string, Sort, std::less<>> kSorts = {
          {"connections", Sort::kConnections}, {"unreplied", Sort::kUnreplied}, {"new_rate", Sort::kNewRate}};
      const auto sort = kSorts.find(value);
      if (sort == kSorts.end()) return Error{"sort is one of connections, unreplied, new_rate"};
      query.sort = sort->second;
    } else if (name == "limit") {
      const auto limit = ParseLimit(value);
      if (!limit) return limit.error();
      query.limit = *limit;
    } else if (name == "destination") {
      const auto within = ParseWithin(name, value);
      if (!within) return within.error();
      query.within = *within;
    } else {
      return Error{"no parameter '" + name + "'; there are sort, limit, destination"};
    }
  }
  return query;
}

std::vector<const OfDestination*> RankDestinations(const DestinationFigures& survey, const DestinationsQuery& query,
                                                   std::size_t& total) {
  std::vector<const OfDestination*> rows;
  for (const OfDestination& each : survey.destinations) {
    if (!query.within || query.within->Contains(each.destination.address)) rows.push_back(&each);
  }
  total = rows.size();
  const std::size_t count = std::min(query.limit, rows.size());
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(),
                    [&](const OfDestination* a, const OfDestination* b) {
                      const double of_a = ValueOf(*a, query.sort), of_b = ValueOf(*b, query.sort);
                      return of_a != of_b ? of_a > of_b : a->destination < b->destination;
                    });
  rows.resize(count);
  return rows;
}

http::Response AnswerDestinations(Observer& observer, const http::Request& request) {
  const auto query = ParseDestinationsQuery(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  auto ranked = std::make_shared<RankedDestinations>();
  ranked->survey = observer.Destinations();
  if (ranked->survey == nullptr) ranked->survey = std::make_shared<const DestinationFigures>();
  ranked->nat = observer.Nat();
  ranked->synced = observer.synced();
  ranked->rows = RankDestinations(*ranked->survey, *query, ranked->total);
  return {.content_type = http::kJsonContentType,
          .body = http::BodyStream(
              [&observer, ranked, next = std::size_t{0}]() mutable { return ranked->Piece(observer, next); })};
}

http::Lane DestinationsLane(const http::Request& request) {
  const auto query = ParseDestinationsQuery(request);
  return query && query->limit > kShortRowsMax ? http::Lane::kLong : http::Lane::kShort;
}

}  // namespace conntally
