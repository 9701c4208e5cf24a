// /api/v1/drops?since=10m&source=CIDR&destination=CIDR&rule=TEXT&limit=100: the recent drops, tuple by tuple, newest
// first. Any thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collectors/drops/recent_drops.h"
#include "collectors/system/result.h"
#include "daemon/api/values/timestamp.h"
#include "daemon/drops/drop_collector.h"
#include "daemon/http/message.h"

namespace conntally {

struct DropsQuery {
  std::chrono::milliseconds since = RecentDrops::kFor;  // 1 s .. RecentDrops::kFor
  std::optional<Prefix> source;                         // absent: all; the same for those below
  std::optional<Prefix> destination;
  std::optional<std::string> rule;  // its text, or a log rule's prefix; empty: drops of no known rule
  std::size_t limit = 100;          // 1 .. kLimitMax
};

// The error says what is wrong and what is allowed.
Result<DropsQuery> ParseDropsQuery(const http::Request& request);

// Returns the recent drops for which `wanted` is true.
using RecentDropsSource = std::function<std::vector<RecentDrop>(const std::function<bool(const RecentDrop&)>& wanted)>;

http::Response AnswerDrops(const RecentDropsSource& recent, TwoClocks now, const http::Request& request);
// Answers with the drops at this moment.
http::Response AnswerDrops(const DropCollector& drops, const http::Request& request);

// Long lists have their own lane, so that they do not delay short ones.
http::Lane DropsLane(const http::Request& request);

}  // namespace conntally
