// /api/v1/sources?sort=connections|new_rate|unreplied|drops&limit=50&source=CIDR: every source in full detail, which
// labels must not carry. Of a single address also which drop and reject rules cover it, whether it has a connection or not.
//
// Ranking all sources costs the most of an answer, so answers to one question within kFreshFor share it; rows are
// written as the client takes them. What slow clients make us hold is bounded by kHeldRowsMax.
//
// Threads: the HTTP server's.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daemon/api/sources_query.h"
#include "daemon/http/message.h"
#include "daemon/observation/observer.h"

namespace conntally {

// A source as a JSON object. `matching_rules` is a JSON array, or empty: not asked for. Pure.
std::string SourceJson(const std::string& name, const KnownSource& source, const std::vector<SourceLimit>& limits,
                       const std::string& matching_rules = {});

class SourcesApi {
 public:
  explicit SourcesApi(Observer& observer) : observer_(observer) {}

  http::Response Answer(const http::Request& request);

 private:
  struct Ranking;
  static constexpr std::chrono::milliseconds kFreshFor{100};
  static constexpr std::int64_t kHeldRowsMax = 2'000'000;

  std::shared_ptr<const Ranking> Rank(const SourcesQuery& query);

  Observer& observer_;
  std::shared_ptr<const Ranking> last_;
  // Rows of rankings that someone still reads; shared with them, since they may outlive us.
  std::shared_ptr<std::int64_t> held_rows_ = std::make_shared<std::int64_t>(0);
};

}  // namespace conntally
