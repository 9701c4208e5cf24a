#include "daemon/status_api.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "daemon/timestamp.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

http::Response AnswerStatus(const Snapshot& snapshot) {
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
  Json alerts = nullptr;
  if (snapshot.alerts) {
    const auto count = [&](auto&& wanted) { return std::count_if(snapshot.alerts->alerts.begin(), snapshot.alerts->alerts.end(), wanted); };
    alerts = {{"firing", count([](const Alert& alert) { return alert.visible_firing(); })},
              {"critical", count([](const Alert& alert) { return alert.visible_firing() && alert.severity == Severity::kCritical; })},
              {"pending", count([](const Alert& alert) { return alert.state == AlertState::kPending; })}};
  }
  const Json status = {
      {"version", snapshot.build.version},
      {"ready", trust.ready},
      {"synced", trust.synced},
      {"connections", snapshot.totals.ConnectionsSum()},
      {"sources", snapshot.sources},
      {"table", std::move(table)},
      {"alerts", std::move(alerts)},
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
  return {.content_type = http::kJsonContentType, .body = status.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

}  // namespace conntally
