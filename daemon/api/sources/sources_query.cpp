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

bool TopSources::Before(const KnownSource& a, const KnownSource& b) const {
  const auto value = [&](const KnownSource& source) {
    const SourceFigures& figures = source.figures;
    switch (sort_) {
      case SourcesQuery::Sort::kConnections: return static_cast<double>(figures.connections);
      case SourcesQuery::Sort::kNewRate: return figures.new_rate;
      case SourcesQuery::Sort::kUnreplied: return static_cast<double>(figures.unreplied);
      case SourcesQuery::Sort::kDrops: return static_cast<double>(source.drops.packets);
    }
    return 0.0;
  };
  const double of_a = value(a), of_b = value(b);
  return of_a != of_b ? of_a > of_b : a.figures.source < b.figures.source;
}

void TopSources::Enter(KnownSource source) {
  ++entered_;
  if (last_ && !Before(source, *last_)) return;
  first_.push_back(std::move(source));
  if (first_.size() >= 2 * limit_) Cut();
}

void TopSources::Cut() {
  const auto last = first_.begin() + static_cast<std::ptrdiff_t>(limit_) - 1;
  std::nth_element(first_.begin(), last, first_.end(),
                   [this](const KnownSource& a, const KnownSource& b) { return Before(a, b); });
  last_ = *last;
  first_.erase(last + 1, first_.end());
}

std::vector<KnownSource> TopSources::Take() {
  if (first_.size() > limit_) Cut();
  std::sort(first_.begin(), first_.end(), [this](const KnownSource& a, const KnownSource& b) { return Before(a, b); });
  return std::move(first_);
}

}  // namespace conntally
