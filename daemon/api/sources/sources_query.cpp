#include "daemon/api/sources/sources_query.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "daemon/api/values/query_values.h"

namespace conntally {

Result<SourcesQuery> ParseSourcesQuery(const http::Request& request) {
  SourcesQuery query;
  std::set<std::string> seen;
  for (const auto& [name, value] : request.query) {
    if (!seen.insert(name).second) return Error{"'" + name + "' is given twice"};
    if (name == "sort") {
      using Sort = SourcesQuery::Sort;
      static const std::map<std::string, Sort, std::less<>> kSorts = {{"connections", Sort::kConnections},
                                                                      {"new_rate", Sort::kNewRate},
                                                                      {"unreplied", Sort::kUnreplied},
                                                                      {"drops", Sort::kDrops}};
      const auto sort = kSorts.find(value);
      if (sort == kSorts.end()) return Error{"sort is one of connections, new_rate, unreplied, drops"};
      query.sort = sort->second;
    } else if (name == "limit") {
      const auto limit = ParseLimit(value);
      if (!limit) return limit.error();
      query.limit = *limit;
    } else if (name == "source") {
      const auto within = ParseWithin(name, value);
      if (!within) return within.error();
      query.within = *within;
    } else {
      return Error{"no parameter '" + name + "'; there are sort, limit, source"};
    }
  }
  return query;
}

TopSources::Place TopSources::PlaceOf(const KnownSource& source) const {
  const SourceFigures& figures = source.figures;
  switch (sort_) {
    case SourcesQuery::Sort::kConnections: return {-static_cast<double>(figures.connections), figures.source};
    case SourcesQuery::Sort::kNewRate: return {-figures.new_rate, figures.source};
    case SourcesQuery::Sort::kUnreplied: return {-static_cast<double>(figures.unreplied), figures.source};
    case SourcesQuery::Sort::kDrops:
      return {source.drops ? -static_cast<double>(source.drops->packets) : 0, figures.source};
  }
  return {};
}

void TopSources::Enter(KnownSource source) {
  ++entered_;
  if (last_ && PlaceOf(source) >= *last_) return;
  first_.push_back(std::move(source));
  if (first_.size() >= 2 * limit_) Cut();
}

void TopSources::Cut() {
  const auto last = first_.begin() + static_cast<std::ptrdiff_t>(limit_) - 1;
  const auto place = [this](const KnownSource& source) { return PlaceOf(source); };
  std::ranges::nth_element(first_, last, {}, place);
  last_ = PlaceOf(*last);
  first_.erase(last + 1, first_.end());
}

std::deque<KnownSource> TopSources::Take() {
  if (first_.size() > limit_) Cut();
  std::ranges::sort(first_, {}, [this](const KnownSource& source) { return PlaceOf(source); });
  return std::move(first_);
}

}  // namespace conntally
