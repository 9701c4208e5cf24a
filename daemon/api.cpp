#include "daemon/api.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kJson = "application/json; charset=utf-8";
constexpr std::size_t kLimitDefault = 50;
constexpr std::size_t kLimitMax = 1'000'000;
constexpr std::size_t kRowsPerPiece = 128;

std::string Rfc3339(WallSeconds when) {
  const std::time_t seconds = when.time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, sizeof "2026-01-01T00:00:00Z"> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

using KnownSource = Observer::KnownSource;

// The packets are exact; `error` is how many more of the source may have been dropped before it was tracked.
Json DropsJson(const SourceDrops& drops) {
  Json shares = Json::array();
  for (const DropShare& share : drops.shares) {
    shares.push_back({{"rule", share.rule.empty() ? Json(nullptr) : Json(share.rule)},
                      {"via", NameOf(share.via)},
                      {"packets", share.packets},
                      {"error", drops.error}});
  }
  return shares;
}

Json SourceJson(const Observer& observer, const KnownSource& source) {
  const SourceFigures& figures = source.figures;
  Json limits = Json::array();
  if (const std::uint64_t limit = observer.ConfiguredLimit(figures.source); limit != 0) {
    limits.push_back({{"origin", "config"},
                      {"connections", limit},
                      {"usage", static_cast<double>(figures.connections) / static_cast<double>(limit)}});
  }
  return {{"source", observer.NameOf(figures.source)},
          {"connections", figures.connections},
          {"unreplied", figures.unreplied},
          {"opened", figures.opened},
          {"closed", figures.closed},
          {"new_rate", figures.new_rate},
          {"destination_ports", figures.destination_ports},
          {"limits", std::move(limits)},
          {"drops", DropsJson(source.drops)},
          {"drop_rate", source.drops.rate},
          {"first_seen", Rfc3339(figures.first_seen)},
          {"last_seen", Rfc3339(figures.last_seen)}};
}

enum class Sort { kConnections, kNewRate, kUnreplied, kDrops };

struct SourcesQuery {
  Sort sort = Sort::kConnections;
  std::size_t limit = kLimitDefault;
  std::optional<Prefix> within;
};

Result<SourcesQuery> ParseSourcesQuery(const http::Request& request) {
  SourcesQuery query;
  std::set<std::string> seen;
  for (const auto& [name, value] : request.query) {
    if (!seen.insert(name).second) return Error{"'" + name + "' is given twice"};
    if (name == "sort") {
      static const std::map<std::string, Sort, std::less<>> kSorts = {{"connections", Sort::kConnections},
                                                                     {"new_rate", Sort::kNewRate},
                                                                     {"unreplied", Sort::kUnreplied},
                                                                     {"drops", Sort::kDrops}};
      const auto sort = kSorts.find(value);
      if (sort == kSorts.end()) return Error{"sort is one of connections, new_rate, unreplied, drops"};
      query.sort = sort->second;
    } else if (name == "limit") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), query.limit);
      if (error != std::errc{} || end != value.data() + value.size() || query.limit < 1 || query.limit > kLimitMax) {
        return Error{"limit is a number from 1 to 1000000"};
      }
    } else if (name == "source") {
      query.within = Prefix::Parse(value);
      if (!query.within) return Error{"source is an address, or a prefix without host bits such as 192.0.2.0/24"};
    } else {
      return Error{"no parameter '" + name + "'; there are sort, limit, source"};
    }
  }
  return query;
}

void SortSources(std::vector<KnownSource>& sources, const SourcesQuery& query) {
  const auto value = [&](const KnownSource& source) {
    const SourceFigures& figures = source.figures;
    switch (query.sort) {
      case Sort::kConnections: return static_cast<double>(figures.connections);
      case Sort::kNewRate: return figures.new_rate;
      case Sort::kUnreplied: return static_cast<double>(figures.unreplied);
      case Sort::kDrops: return static_cast<double>(source.drops.packets);
    }
    return 0.0;
  };
  const auto before = [&](const KnownSource& a, const KnownSource& b) {
    const double of_a = value(a), of_b = value(b);
    return of_a != of_b ? of_a > of_b : a.figures.source < b.figures.source;
  };
  const std::size_t count = std::min(query.limit, sources.size());
  std::partial_sort(sources.begin(), sources.begin() + static_cast<std::ptrdiff_t>(count), sources.end(), before);
  sources.resize(count);
}

// The answer in pieces, so that a long one neither fills memory nor holds up a scrape.
class SourcesStream {
 public:
  SourcesStream(const Observer& observer, std::vector<KnownSource> sources, std::size_t total, bool synced)
      : observer_(observer), sources_(std::move(sources)), total_(total), synced_(synced) {}

  std::string NextPiece() {
    if (ended_) return {};
    std::string piece = next_ == 0 ? R"({"sources": [)" : "";
    const std::size_t end = std::min(next_ + kRowsPerPiece, sources_.size());
    for (; next_ < end; ++next_) {
      if (next_ > 0) piece += ",\n";
      piece += SourceJson(observer_, sources_[next_]).dump();
    }
    if (next_ == sources_.size()) {
      ended_ = true;
      piece += "], \"total\": " + std::to_string(total_) + ", \"synced\": " + (synced_ ? "true" : "false") + "}\n";
    }
    return piece;
  }

 private:
  const Observer& observer_;
  std::vector<KnownSource> sources_;
  std::size_t total_;
  bool synced_;
  std::size_t next_ = 0;
  bool ended_ = false;
};

}  // namespace

http::Response AnswerSources(Observer& observer, const http::Request& request) {
  const auto query = ParseSourcesQuery(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  std::vector<KnownSource> sources = observer.Sources(query->within);
  const std::size_t total = sources.size();
  SortSources(sources, *query);
  const auto stream = std::make_shared<SourcesStream>(observer, std::move(sources), total, observer.synced());
  return {.content_type = kJson, .body = http::BodyStream([stream] { return stream->NextPiece(); })};
}

http::Response AnswerStatus(Observer& observer) {
  const Snapshot snapshot = observer.TakeSnapshot();
  const Trust& trust = snapshot.trust;
  Json collectors = Json::object();
  for (const auto& [name, status] : snapshot.collectors) {
    collectors[name] = {{"success", status.success}, {"duration_seconds", status.duration_seconds}};
    if (!status.failure.empty()) collectors[name][status.off ? "off" : "failure"] = status.failure;
  }
  Json table = nullptr;
  if (snapshot.table) {
    table = {{"entries", snapshot.table->entries}};
    table["limit"] = snapshot.table->limit ? Json(*snapshot.table->limit) : Json(nullptr);
    const double until_full = snapshot.table_seconds_until_full;
    table["seconds_until_full"] = std::isfinite(until_full) ? Json(until_full) : Json(nullptr);
    table["drops"] = snapshot.table->counter(TableCounter::kDrop);
    table["early_drops"] = snapshot.table->counter(TableCounter::kEarlyDrop);
    table["insert_failed"] = snapshot.table->counter(TableCounter::kInsertFailed);
  }
  const Json status = {
      {"version", snapshot.build.version},
      {"ready", trust.ready},
      {"synced", trust.synced},
      {"connections", snapshot.totals.ConnectionsSum()},
      {"sources", snapshot.sources},
      {"table", std::move(table)},
      {"collectors", std::move(collectors)},
      {"losses",
       {{"netlink_overruns", trust.events_lost},
        {"reconcile_corrections", {{"missed", trust.corrections.missed}, {"stale", trust.corrections.stale}}},
        {"messages_skipped", trust.messages_skipped},
        {"overflow", trust.overflows}}},
      {"last_reconcile", trust.last_reconcile_timestamp_seconds == 0
                             ? Json(nullptr)
                             : Json(Rfc3339(WallSeconds(std::chrono::seconds(
                                   static_cast<std::int64_t>(trust.last_reconcile_timestamp_seconds)))))},
      {"config_reload_successful", trust.config_reload_successful},
  };
  return {.content_type = kJson, .body = status.dump(1) + "\n"};
}

}  // namespace conntally
