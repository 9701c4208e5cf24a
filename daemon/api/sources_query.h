// What /api/v1/sources is asked for. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "collectors/system/result.h"
#include "daemon/http/message.h"
#include "daemon/observation/snapshot.h"

namespace conntally {

struct SourcesQuery {
  static constexpr std::size_t kLimitMax = 1'000'000;
  enum class Sort { kConnections, kNewRate, kUnreplied, kDrops };

  Sort sort = Sort::kConnections;
  std::size_t limit = 50;                       // 1 .. kLimitMax
  std::optional<Prefix> within = std::nullopt;  // all, when absent

  friend bool operator==(const SourcesQuery&, const SourcesQuery&) = default;
};

// The error says what is wrong and what is allowed.
Result<SourcesQuery> ParseSourcesQuery(const http::Request& request);

// The first `query.limit` of them in the order asked for, equals by address.
std::vector<KnownSource> TopSources(std::vector<KnownSource> sources, const SourcesQuery& query);

}  // namespace conntally
