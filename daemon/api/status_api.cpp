#include "daemon/api/status_api.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "collectors/tally/protocol_names.h"
#include "daemon/api/nat_api.h"
#include "daemon/api/values/timestamp.h"
#include "daemon/observation/snapshot/trust_verdict.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

// Protocols and states with connections.
Json StatesJson(const TotalFigures& totals) {
  Json states = Json::array();
  for (std::size_t i = 0; i < FlowStateIndex::kCount; ++i) {
    if (totals.connections[i] == 0) continue;
    const FlowStateIndex state(i);
    states.push_back({{"protocol", ProtocolName(state.protocol())},
                      {"state", StateName(state)},
                      {"connections", totals.connections[i]}});
  }
  return states;
}

Json RatesJson(const CounterRates& rates) {
  return {{"opened", rates.opened},
          {"closed", rates.closed},
          {"dropped_packets", rates.dropped_packets},
          {"table_drops", rates.table_drops},
          {"table_early_drops", rates.table_early_drops},
          {"table_insert_failed", rates.table_insert_failed}};
}

// The rules that drop or reject the most.
Json DropRulesJson(const DropRules::Top& top) {
  Json rules = Json::array();
  for (const DropRule& of : top.rules) {
    rules.push_back({{"backend", NameOf(of.rule->backend)},
                     {"family", NameOf(of.rule->family)},
                     {"table", of.rule->table},
                     {"chain", of.rule->chain},
                     {"handle", of.rule->handle != 0 ? Json(of.rule->handle) : Json(nullptr)},
                     {"rule", RuleLabel(of.rule->text)},
                     {"verdict", NameOf(of.rule->verdict)},
                     {"comment", of.rule->comment},
                     {"packets", of.packets},
                     {"packets_per_second", of.packets_per_second}});
  }
  return rules;
}

// The fullest pair of translated address and destination.
Json FullestJson(const NatFigures* figures) {
  return figures != nullptr && !figures->uses.empty() ? PortUseJson(figures->uses.front()) : Json(nullptr);
}

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

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
    table["buckets"] = snapshot.table->buckets ? Json(*snapshot.table->buckets) : Json(nullptr);
    table["drops"] = snapshot.table->counter(TableCounter::kDrop);
    table["early_drops"] = snapshot.table->counter(TableCounter::kEarlyDrop);
    table["insert_failed"] = snapshot.table->counter(TableCounter::kInsertFailed);
  }
  Json alerts = nullptr;
  if (snapshot.alerts) {
    const auto count = [&](auto&& wanted) {
      return std::count_if(snapshot.alerts->alerts.begin(), snapshot.alerts->alerts.end(), wanted);
    };
    // An info does not alarm: it is counted separately.
    alerts = {{"firing", count([](const Alert& alert) { return alert.alarms(); })},
              {"critical", count([](const Alert& alert) {
                 return alert.visible_firing() && alert.severity == Severity::kCritical;
               })},
              {"pending", count([](const Alert& alert) {
                 return alert.state == AlertState::kPending && alert.severity != Severity::kInfo;
               })},
              {"info", count([](const Alert& alert) { return alert.visible_firing() && !alert.alarms(); })}};
  }
  const Json status = {
      {"version", snapshot.build.version},
      {"host", HostName()},
      {"now", Rfc3339(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()))},
      {"started", Rfc3339(std::chrono::sys_seconds(
                      std::chrono::seconds(static_cast<std::int64_t>(snapshot.process.start_time_seconds))))},
      {"ready", trust.ready},
      {"synced", trust.synced},
      {"verdict", TrustVerdict(trust, snapshot.collectors)},
      {"connections", snapshot.totals.ConnectionsSum()},
      {"unreplied", snapshot.totals.unreplied},
      {"sources", snapshot.sources},
      {"unattributed", snapshot.totals.unattributed_connections},
      {"sources_waiting_for_series", snapshot.sources_waiting},
      {"states", StatesJson(snapshot.totals)},
      {"per_second", RatesJson(snapshot.rates)},
      {"dropped_packets",
       std::accumulate(snapshot.dropped_packets.begin(), snapshot.dropped_packets.end(), std::uint64_t{0})},
      {"drop_rules", DropRulesJson(snapshot.drop_rules)},
      {"table", std::move(table)},
      {"nat", FullestJson(snapshot.nat.get())},
      {"alerts", std::move(alerts)},
      {"collectors", std::move(collectors)},
      {"losses",
       {{"netlink_overruns", trust.events_lost},
        {"reconcile_corrections", {{"missed", trust.corrections.missed}, {"stale", trust.corrections.stale}}},
        {"messages_skipped", trust.messages_skipped},
        {"overflow", trust.overflows}}},
      {"last_reconcile", trust.last_reconcile_timestamp_seconds == 0
                             ? Json(nullptr)
                             : Json(Rfc3339(std::chrono::sys_seconds(std::chrono::seconds(
                                   static_cast<std::int64_t>(trust.last_reconcile_timestamp_seconds)))))},
      {"config_reload_successful", trust.config_reload_successful},
  };
  return {.content_type = http::kJsonContentType,
          .body = status.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

}  // namespace conntally
