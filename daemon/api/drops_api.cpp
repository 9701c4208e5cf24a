#include "daemon/api/drops_api.h"

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "collectors/tally/protocol_names.h"
#include "config/notation/notation.h"
#include "daemon/api/values/query_values.h"
#include "daemon/api/values/timestamp.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;
using Time = std::chrono::steady_clock::time_point;

constexpr std::size_t kDropsPerPiece = 128;

Status Take(DropsQuery& query, const std::string& name, const std::string& value) {
  if (name == "since") {
    const auto since = ParseDuration(value);
    if (!since || *since < std::chrono::seconds(1) || *since > RecentDrops::kFor)
      return Error{"since is a duration from 1s to 10m, such as 30s"};
    query.since = *since;
  } else if (name == "source" || name == "destination") {
    const auto within = ParseWithin(name, value);
    if (!within) return within.error();
    (name == "source" ? query.source : query.destination) = *within;
  } else if (name == "rule") {
    query.rule = value;
  } else if (name == "limit") {
    const auto limit = ParseLimit(value);
    if (!limit) return limit.error();
    query.limit = *limit;
  } else {
    return Error{"no parameter '" + name + "'; there are since, source, destination, rule, limit"};
  }
  return Ok();
}

Json HookJson(HookSet hooks) {
  constexpr std::array<std::pair<std::uint8_t, const char*>, 6> kHooks = {{{HookSet::kPrerouting, "prerouting"},
                                                                           {HookSet::kInput, "input"},
                                                                           {HookSet::kForward, "forward"},
                                                                           {HookSet::kOutput, "output"},
                                                                           {HookSet::kPostrouting, "postrouting"},
                                                                           {HookSet::kDevice, "device"}}};
  if (hooks == HookSet()) return nullptr;
  std::string names;
  for (const auto& [bit, name] : kHooks) {
    if (hooks.Meets(HookSet(bit))) names += (names.empty() ? "" : ",") + std::string(name);
  }
  return names;
}

Json DropJson(const RecentDrop& drop, TwoClocks now) {
  const auto text = [](const std::string& value) { return value.empty() ? Json(nullptr) : Json(value); };
  const DropEnds& ends = drop.ends;
  Json json = {{"first", now.Rfc3339(drop.first)},
               {"last", now.Rfc3339(drop.last)},
               {"source", ends.source.ToString()},
               {"destination", ends.destination ? Json(ends.destination->ToString()) : Json(nullptr)},
               {"port", ends.destination_port != 0 ? Json(ends.destination_port) : Json(nullptr)},
               {"protocol", drop.protocol != 0 ? Json(ProtocolName(drop.protocol)) : Json(nullptr)}};
  if (drop.icmp_type) json["icmp_type"] = *drop.icmp_type;
  json["interface"] = text(drop.interface_name);
  json["hook"] = HookJson(drop.hooks);
  json["rule"] = text(drop.rule);
  json["via"] = NameOf(drop.via);
  json["packets"] = drop.packets;
  return json;
}

// The data of an answer.
struct NewestDrops {
  std::vector<RecentDrop> drops;
  std::size_t total = 0;
  TwoClocks now;

  // The next rows from `next` on, with the answer's head and foot.
  std::string Piece(std::size_t& next) const;
};

std::string NewestDrops::Piece(std::size_t& next) const {
  if (next > drops.size()) return {};
  std::string piece = next == 0 ? "{\"drops\": [" : "";
  const std::size_t end = std::min(next + kDropsPerPiece, drops.size());
  for (; next < end; ++next) {
    if (next > 0) piece += ",\n";
    piece += DropJson(drops[next], now).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  if (next < drops.size()) return piece;
  ++next;
  return piece + "], \"total\": " + std::to_string(total) + "}\n";
}

bool IsNewer(const RecentDrop& a, const RecentDrop& b) {
  const auto rank = [](const RecentDrop& drop) { return std::tie(drop.last, drop.packets, drop.first); };
  return rank(a) != rank(b) ? rank(a) > rank(b) : a.ends < b.ends;
}

}  // namespace

Result<DropsQuery> ParseDropsQuery(const http::Request& request) {
  DropsQuery query;
  std::set<std::string> seen;
  for (const auto& [name, value] : request.query) {
    if (!seen.insert(name).second) return Error{"'" + name + "' is given twice"};
    if (const auto taken = Take(query, name, value); !taken) return taken.error();
  }
  return query;
}

http::Response AnswerDrops(const RecentDropsSource& recent, TwoClocks now, const http::Request& request) {
  const auto query = ParseDropsQuery(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  auto newest = std::make_shared<NewestDrops>();
  newest->now = now;
  newest->drops = recent([&](const RecentDrop& drop) {
    if (now.steady - drop.last > query->since) return false;
    if (query->source && !query->source->Contains(drop.ends.source)) return false;
    return !query->destination || (drop.ends.destination && query->destination->Contains(*drop.ends.destination));
  });
  if (query->rule) std::erase_if(newest->drops, [&](const RecentDrop& drop) { return drop.rule != *query->rule; });
  newest->total = newest->drops.size();
  const std::size_t shown = std::min(query->limit, newest->drops.size());
  std::partial_sort(newest->drops.begin(), newest->drops.begin() + static_cast<std::ptrdiff_t>(shown),
                    newest->drops.end(), IsNewer);
  newest->drops.resize(shown);
  return {.content_type = http::kJsonContentType,
          .body = http::BodyStream([newest, next = std::size_t{0}]() mutable { return newest->Piece(next); })};
}

http::Response AnswerDrops(const DropCollector& drops, const http::Request& request) {
  const auto recent = [&](const auto& wanted) { return drops.Recent(wanted); };
  return AnswerDrops(recent, TwoClocks::Now(), request);
}

http::Lane DropsLane(const http::Request& request) {
  const auto query = ParseDropsQuery(request);
  return query && query->limit > kShortRowsMax ? http::Lane::kLong : http::Lane::kShort;
}

}  // namespace conntally
