// The query of /api/v1/sources. Pure; any thread.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "collectors/system/result.h"
#include "daemon/http/message.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

struct SourcesQuery {
  enum class Sort { kConnections, kNewRate, kUnreplied, kDrops };

  Sort sort = Sort::kConnections;
  std::size_t limit = 50;                       // 1 .. kLimitMax
  std::optional<Prefix> within = std::nullopt;  // absent: all

  friend bool operator==(const SourcesQuery&, const SourcesQuery&) = default;
};

// The error says what is wrong and what is allowed.
Result<SourcesQuery> ParseSourcesQuery(const http::Request& request);

// The first `limit` of all entered sources, in the query's order, ties by address. Memory is bounded by the limit, not
// by the number entered. One owner.
class TopSources {
 public:
  TopSources(SourcesQuery::Sort sort, std::size_t limit) : sort_(sort), limit_(limit) {}

  void Enter(KnownSource source);
  std::size_t entered() const { return entered_; }
  std::deque<KnownSource> Take();

 private:
  // By the negative value that the query sorts by, then by address.
  using Place = std::pair<double, IpAddress>;
  Place PlaceOf(const KnownSource& source) const;
  void Cut();

  const SourcesQuery::Sort sort_;
  const std::size_t limit_;
  std::size_t entered_ = 0;
  std::optional<Place> last_;  // the last of the first: a source that does not come before it is not among them
  std::deque<KnownSource> first_;
};

}  // namespace conntally
