#include "daemon/api/sources/sources_api.h"

#include <spdlog/fmt/fmt.h>

#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "daemon/api/sources/sources_query.h"
#include "daemon/api/values/query_values.h"
#include "daemon/api/values/timestamp.h"
#include "daemon/rules/matching_rules.h"

namespace conntally {
namespace {

constexpr std::size_t kSourcesPerPiece = 128;

// The packets are exact; `error` is how many more the source may have lost before it was tracked.
std::string DropsJson(const SourceDrops* drops) {
  if (drops == nullptr || drops->shares.empty()) return "[]";
  using Json = nlohmann::ordered_json;
  Json shares = Json::array();
  for (const DropShare& share : drops->shares) {
    shares.push_back({{"rule", share.rule.empty() ? Json(nullptr) : Json(share.rule)},
                      {"via", NameOf(share.via)},
                      {"packets", share.packets},
                      {"error", drops->error}});
  }
  return shares.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string LimitsJson(const std::vector<SourceLimit>& limits) {
  if (limits.empty()) return "[]";
  using Json = nlohmann::ordered_json;
  Json json = Json::array();
  for (const SourceLimit& limit : limits) {
    json.push_back({{"origin", NameOf(limit.origin)},
                    {"connections", limit.connections},
                    {"counted", limit.counted},
                    {"usage", limit.usage()},
                    {"approximate", limit.approximate},
                    {"rule", limit.rule.empty() ? Json(nullptr) : Json(limit.rule)}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A source as a JSON object. `matching_rules` is a JSON array, or empty: not requested.
std::string SourceJson(const std::string& name, const KnownSource& source, const std::vector<SourceLimit>& limits,
                       const std::string& matching_rules, const TwoClocks& now) {
  const SourceFigures& figures = source.figures;
  // Nothing else needs escaping: names are addresses.
  return fmt::format(R"({{"source": "{}", "connections": {}, "unreplied": {}, "opened": {}, "closed": {}, )"
                     R"("new_rate": {:.3f}, "destination_ports": {}, "limits": {}, "drops": {}, )"
                     R"("drop_rate": {:.3f}, "proof": "{}", "regular": {}, "failed": {}, "exported": {}, )"
                     R"("first_seen": "{}", "last_seen": "{}"{}{}}})",
                     name, figures.connections, figures.unreplied, figures.opened, figures.closed, figures.new_rate,
                     figures.destination_ports, LimitsJson(limits), DropsJson(source.drops.get()),
                     source.drops ? source.drops->rate : 0.0, NameOf(figures.proof), figures.regular(), figures.failed,
                     source.exported, now.Rfc3339(figures.first_seen), now.Rfc3339(figures.last_seen),
                     matching_rules.empty() ? "" : ", \"matching_rules\": ", matching_rules);
}

// The data of an answer.
struct RankedSources {
  std::deque<KnownSource> sources;  // those that Piece has not written yet
  bool begun = false, ended = false;
  std::size_t total = 0;
  bool synced = false;
  TwoClocks now = TwoClocks::Now();
  std::string matching_rules;  // JSON; empty: not a single address

  // The next rows, with the answer's head and foot.
  std::string Piece(const Observer& observer);
};

std::string RankedSources::Piece(const Observer& observer) {
  if (ended) return {};
  std::string piece = begun ? "" : "{\"sources\": [";
  for (std::size_t i = 0; i < kSourcesPerPiece && !sources.empty(); ++i, sources.pop_front()) {
    const SourceFigures& figures = sources.front().figures;
    if (std::exchange(begun, true)) piece += ",\n";
    piece +=
        SourceJson(observer.NameOf(figures.source), sources.front(), observer.LimitsOf(figures), matching_rules, now);
  }
  if (!sources.empty()) return piece;
  ended = true;
  piece += fmt::format("], \"total\": {}, \"synced\": {}", total, synced);
  if (!matching_rules.empty()) piece += ", \"matching_rules\": " + matching_rules;
  return piece + "}\n";
}

RankedSources Rank(Observer& observer, const SourcesQuery& query) {
  TopSources top(query.sort, query.limit);
  observer.ForEachSource(query.within, [&top](KnownSource source) { top.Enter(std::move(source)); });
  RankedSources ranked;
  ranked.total = top.entered();
  ranked.synced = observer.synced();
  if (query.within && query.within->length == AddressBits(query.within->address.family)) {
    const auto rules = observer.Rules();
    ranked.matching_rules =
        MatchingRulesJson(rules ? RulesThatDrop(*rules, query.within->address) : std::vector<MatchingRule>());
  }
  ranked.sources = top.Take();
  return ranked;
}

}  // namespace

http::Response AnswerSources(Observer& observer, const http::Request& request) {
  const auto query = ParseSourcesQuery(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  const auto ranked = std::make_shared<RankedSources>(Rank(observer, *query));
  return {.content_type = http::kJsonContentType,
          .body = http::BodyStream([&observer, ranked] { return ranked->Piece(observer); })};
}

http::Lane SourcesLane(const http::Request& request) {
  const auto query = ParseSourcesQuery(request);
  return query && query->limit > kShortRowsMax ? http::Lane::kLong : http::Lane::kShort;
}

}  // namespace conntally
