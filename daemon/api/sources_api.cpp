#include "daemon/api/sources_api.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/api/timestamp.h"
#include "daemon/rules/matching_rules.h"

namespace conntally {
namespace {

constexpr std::size_t kRowsPerPiece = 128;

// The packets are exact; `error` is how many more of the source may have been dropped before it was tracked.
std::string DropsJson(const SourceDrops& drops) {
  using Json = nlohmann::ordered_json;
  Json shares = Json::array();
  for (const DropShare& share : drops.shares) {
    shares.push_back({{"rule", share.rule.empty() ? Json(nullptr) : Json(share.rule)},
                      {"via", NameOf(share.via)},
                      {"packets", share.packets},
                      {"error", drops.error}});
  }
  return shares.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string LimitsJson(const std::vector<SourceLimit>& limits) {
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

}  // namespace

std::string SourceJson(const std::string& name, const KnownSource& source, const std::vector<SourceLimit>& limits,
                       const std::string& matching_rules) {
  const SourceFigures& figures = source.figures;
  // Nothing else in it needs escaping: names are addresses.
  return fmt::format(R"({{"source": "{}", "connections": {}, "unreplied": {}, "opened": {}, "closed": {}, )"
                     R"("new_rate": {:.3f}, "destination_ports": {}, "limits": {}, "drops": {}, )"
                     R"("drop_rate": {:.3f}, "first_seen": "{}", "last_seen": "{}"{}{}}})",
                     name, figures.connections, figures.unreplied, figures.opened, figures.closed, figures.new_rate,
                     figures.destination_ports, LimitsJson(limits), DropsJson(source.drops), source.drops.rate,
                     Rfc3339(figures.first_seen), Rfc3339(figures.last_seen),
                     matching_rules.empty() ? "" : ", \"matching_rules\": ", matching_rules);
}

struct SourcesApi::Ranking {
  SourcesQuery query;
  std::chrono::steady_clock::time_point when;
  std::vector<KnownSource> sources;
  std::size_t total = 0;
  bool synced = false;
  std::string matching_rules;  // JSON; empty: not a single address
  std::shared_ptr<std::int64_t> held_rows;

  // Written as the client takes it: the next rows from `next` on, with the answer's head and foot where they belong.
  std::string Piece(const Observer& observer, std::size_t& next) const {
    if (next > sources.size()) return {};
    std::string piece = next == 0 ? "{\"sources\": [" : "";
    const std::size_t end = std::min(next + kRowsPerPiece, sources.size());
    for (; next < end; ++next) {
      const IpAddress& address = sources[next].figures.source;
      if (next > 0) piece += ",\n";
      piece += SourceJson(observer.NameOf(address), sources[next], observer.LimitsOf(sources[next].figures), matching_rules);
    }
    if (next < sources.size()) return piece;
    ++next;
    piece += fmt::format("], \"total\": {}, \"synced\": {}", total, synced);
    if (!matching_rules.empty()) piece += ", \"matching_rules\": " + matching_rules;
    return piece + "}\n";
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
  std::vector<KnownSource> sources = observer_.Sources(query.within);
  ranking->total = sources.size();
  ranking->synced = observer_.synced();
  if (query.within && query.within->length == AddressBits(query.within->address.family)) {
    const auto rules = observer_.Rules();
    ranking->matching_rules = MatchingRulesJson(rules ? RulesThatDrop(*rules, query.within->address) : std::vector<MatchingRule>());
  }
  ranking->sources = TopSources(std::move(sources), query);
  *held_rows_ += static_cast<std::int64_t>(ranking->sources.size());
  return last_ = std::move(ranking);
}

http::Response SourcesApi::Answer(const http::Request& request) {
  const auto query = ParseSourcesQuery(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  const auto ranking = Rank(*query);
  if (!ranking) return http::ErrorResponse(503, "too many answers are still being read; ask again, or for fewer sources");
  return {.content_type = http::kJsonContentType,
          .body = http::BodyStream([this, ranking, next = std::size_t{0}]() mutable { return ranking->Piece(observer_, next); })};
}

}  // namespace conntally
