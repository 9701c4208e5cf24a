#include "daemon/sources_api.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "daemon/timestamp.h"

namespace conntally {
namespace {

constexpr std::size_t kRowsPerPiece = 128;

const std::map<std::string, SourceSort, std::less<>> kSorts = {{"connections", SourceSort::kConnections},
                                                               {"new_rate", SourceSort::kNewRate},
                                                               {"unreplied", SourceSort::kUnreplied},
                                                               {"drops", SourceSort::kDrops}};

double RankingValue(const SourceFigures& figures, SourceSort sort) {
  switch (sort) {
    case SourceSort::kConnections: return static_cast<double>(figures.connections);
    case SourceSort::kNewRate: return figures.new_rate;
    case SourceSort::kUnreplied: return static_cast<double>(figures.unreplied);
    case SourceSort::kDrops: return 0;
  }
  return 0;
}

// The first `limit` in order, equals by address.
void SortAndCut(std::vector<SourceFigures>& sources, const SourcesQuery& query) {
  const auto before = [&](const SourceFigures& a, const SourceFigures& b) {
    const double of_a = RankingValue(a, query.sort), of_b = RankingValue(b, query.sort);
    return of_a != of_b ? of_a > of_b : a.source < b.source;
  };
  const auto end = sources.begin() + static_cast<std::ptrdiff_t>(std::min(query.limit, sources.size()));
  std::partial_sort(sources.begin(), end, sources.end(), before);
  sources.erase(end, sources.end());
}

}  // namespace

Result<SourcesQuery> SourcesQuery::Parse(const http::Request& request) {
  SourcesQuery query;
  std::set<std::string_view> seen;
  for (const auto& [name, value] : request.query) {
    if (!seen.insert(name).second) return Error{"'" + name + "' is given twice"};
    if (name == "sort") {
      const auto sort = kSorts.find(value);
      if (sort == kSorts.end()) return Error{"sort is one of connections, new_rate, unreplied, drops"};
      query.sort = sort->second;
    } else if (name == "limit") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), query.limit);
      if (error != std::errc{} || end != value.data() + value.size() || query.limit < 1 || query.limit > kLimitMax) {
        return Error{fmt::format("limit is a number from 1 to {}", kLimitMax)};
      }
    } else if (name == "source") {
      query.within = Prefix::Parse(value);
      if (!query.within) return Error{"source is an address, or a prefix without host bits such as 192.0.2.0/24"};
    } else {
      return Error{"there is no parameter '" + name + "'; there are sort, limit and source"};
    }
  }
  return query;
}

std::string SourceJson(const std::string& name, const SourceFigures& figures, std::uint64_t configured_limit) {
  std::string limits;
  if (configured_limit != 0) {
    limits = fmt::format(R"({{"origin": "config", "connections": {}, "usage": {:.4f}}})", configured_limit,
                         static_cast<double>(figures.connections) / static_cast<double>(configured_limit));
  }
  // Nothing in it needs escaping: names are addresses.
  return fmt::format(R"({{"source": "{}", "connections": {}, "unreplied": {}, "opened": {}, "closed": {}, )"
                     R"("new_rate": {:.3f}, "destination_ports": {}, "limits": [{}], "drops": [], )"
                     R"("first_seen": "{}", "last_seen": "{}"}})",
                     name, figures.connections, figures.unreplied, figures.opened, figures.closed, figures.new_rate,
                     figures.destination_ports, limits, Rfc3339(figures.first_seen), Rfc3339(figures.last_seen));
}

struct SourcesApi::Ranking {
  SourcesQuery query;
  std::chrono::steady_clock::time_point when;
  std::vector<SourceFigures> sources;
  std::size_t total = 0;
  bool synced = false;
  std::shared_ptr<std::int64_t> held_rows;

  // Written as the client takes it: the next rows from `next` on, with the answer's head and foot where they belong.
  std::string Piece(const Observer& observer, std::size_t& next) const {
    if (next > sources.size()) return {};
    std::string piece = next == 0 ? "{\"sources\": [" : "";
    const std::size_t end = std::min(next + kRowsPerPiece, sources.size());
    for (; next < end; ++next) {
      const SourceFigures& figures = sources[next];
      if (next > 0) piece += ",\n";
      piece += SourceJson(observer.NameOf(figures.source), figures, observer.ConfiguredLimit(figures.source));
    }
    if (next < sources.size()) return piece;
    ++next;
    return piece + fmt::format("], \"total\": {}, \"synced\": {}}}\n", total, synced);
  }

  ~Ranking() { *held_rows -= static_cast<std::int64_t>(sources.size()); }
};

std::shared_ptr<const SourcesApi::Ranking> SourcesApi::Rank(const SourcesQuery& query) {
  const auto now = std::chrono::steady_clock::now();
  if (last_ && last_->query == query && now - last_->when < kFreshFor) return last_;
  last_.reset();
  if (*held_rows_ > kHeldRowsMax) return nullptr;
  auto ranking = std::make_shared<Ranking>();
  ranking->held_rows = held_rows_;
  ranking->query = query;
  ranking->when = now;
  ranking->sources = observer_.Sources(query.within);
  ranking->total = ranking->sources.size();
  ranking->synced = observer_.synced();
  SortAndCut(ranking->sources, query);
  *held_rows_ += static_cast<std::int64_t>(ranking->sources.size());
  return last_ = std::move(ranking);
}

http::Response SourcesApi::Answer(const http::Request& request) {
  const auto query = SourcesQuery::Parse(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  const auto ranking = Rank(*query);
  if (!ranking) return http::ErrorResponse(503, "too many answers are still being read; ask again, or for fewer sources");
  return {.content_type = http::kJsonContentType,
          .body = http::BodyStream([this, ranking, next = std::size_t{0}]() mutable { return ranking->Piece(observer_, next); })};
}

}  // namespace conntally
