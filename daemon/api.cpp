#include "daemon/api.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon/sources_query.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kJson = "application/json; charset=utf-8";
constexpr std::size_t kRowsPerPiece = 128;

std::string Rfc3339(WallSeconds when) {
  const std::time_t seconds = when.time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, sizeof "2026-01-01T00:00:00Z"> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

Json SourceJson(const Observer& observer, const SourceFigures& figures) {
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
          {"drops", Json::array()},
          {"first_seen", Rfc3339(figures.first_seen)},
          {"last_seen", Rfc3339(figures.last_seen)}};
}

// The answer in pieces, so that a long one neither fills memory nor holds up a scrape.
class SourcesStream {
 public:
  SourcesStream(const Observer& observer, std::vector<SourceFigures> sources, std::size_t total, bool synced)
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
  std::vector<SourceFigures> sources_;
  std::size_t total_;
  bool synced_;
  std::size_t next_ = 0;
  bool ended_ = false;
};

}  // namespace

http::Response AnswerSources(Observer& observer, const http::Request& request) {
  const auto query = ParseSourcesQuery(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  std::vector<SourceFigures> sources = observer.Sources(query->within);
  const std::size_t total = sources.size();
  const auto stream = std::make_shared<SourcesStream>(observer, TopSources(std::move(sources), *query), total, observer.synced());
  return {.content_type = kJson, .body = http::BodyStream([stream] { return stream->NextPiece(); })};
}

http::Response AnswerStatus(Observer& observer) {
  const Snapshot snapshot = observer.TakeSnapshot();
  const Trust& trust = snapshot.trust;
  Json collectors = Json::object();
  for (const auto& [name, status] : snapshot.collectors) {
    collectors[name] = {{"success", status.success}, {"duration_seconds", status.duration_seconds}};
    if (!status.failure.empty()) collectors[name]["failure"] = status.failure;
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
  return {.content_type = kJson, .body = status.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

}  // namespace conntally
