#include "daemon/top/model/model.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <limits>
#include <string_view>

#include "daemon/command_line/client/answer.h"
#include "daemon/top/text/text.h"

namespace conntally::top {
namespace {

using Json = nlohmann::json;

// Absent, null or of another type counts as empty: an older daemon reports less.
std::string Text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? Harmless(found->get_ref<const std::string&>()) : std::string();
}

double Number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

std::uint64_t Count(const Json& json, const char* key) {
  const double number = Number(json, key);
  return number > 0 && number < 1e18 ? static_cast<std::uint64_t>(number) : 0;
}

bool Flag(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

const Json& Member(const Json& json, const char* key) {
  static const Json kNone;
  const auto found = json.find(key);
  return found != json.end() ? *found : kNone;
}

// Seconds between two times in the daemon's format.
std::optional<double> SecondsBetween(const std::string& from, const std::string& to) {
  const auto parse = [](const std::string& text) -> std::optional<std::time_t> {
    std::tm utc{};
    if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc) == nullptr) return std::nullopt;
    return timegm(&utc);
  };
  const auto begin = parse(from), end = parse(to);
  if (!begin || !end) return std::nullopt;
  return std::max(0.0, std::difftime(*end, *begin));
}

Source ReadSource(const Json& json) {
  Source source{.name = Text(json, "source"), .limits = {}, .drops = {}, .first_seen = {}, .last_seen = {}};
  source.connections = Count(json, "connections");
  source.unreplied = Count(json, "unreplied");
  source.opened = Count(json, "opened");
  source.closed = Count(json, "closed");
  source.new_rate = Number(json, "new_rate");
  source.drop_rate = Number(json, "drop_rate");
  source.destination_ports = Count(json, "destination_ports");
  source.first_seen = Text(json, "first_seen");
  source.last_seen = Text(json, "last_seen");
  for (const Json& limit : Member(json, "limits")) {
    source.limits.push_back({Text(limit, "origin"), Count(limit, "connections"), Count(limit, "counted"),
                             Number(limit, "usage"), Flag(limit, "approximate"), Text(limit, "rule")});
  }
  for (const Json& drop : Member(json, "drops")) {
    source.drops.push_back({Text(drop, "rule"), Text(drop, "via"), Count(drop, "packets")});
  }
  std::ranges::stable_sort(source.limits, std::greater{}, &Limit::usage);
  std::ranges::stable_sort(source.drops, std::greater{}, &Drop::packets);
  return source;
}

std::optional<Table> ReadTable(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  Table table{.seconds_until_full = {}};
  table.entries = Count(json, "entries");
  table.limit = Count(json, "limit");
  if (Member(json, "seconds_until_full").is_number()) table.seconds_until_full = Number(json, "seconds_until_full");
  table.drops = Count(json, "drops");
  table.early_drops = Count(json, "early_drops");
  table.insert_failed = Count(json, "insert_failed");
  return table;
}

std::optional<NatPorts> ReadNat(const Json& json) {
  if (!json.is_object() || Count(json, "available") == 0) return std::nullopt;
  const std::uint64_t port = Count(json, "destination_port");
  return NatPorts{Text(json, "nat_address") + " to " + Text(json, "destination") +
                      (port != 0 ? " port " + std::to_string(port) : "") + " (" + Text(json, "protocol") + ")",
                  Count(json, "used"), Count(json, "closed"), Count(json, "available")};
}

void ReadTrust(const Json& json, DaemonStatus& status) {
  for (const auto& [name, collector] : Member(json, "collectors").items()) {
    const bool off = collector.contains("off");
    status.collectors.push_back(
        {Harmless(name), Flag(collector, "success"), off, Text(collector, off ? "off" : "failure")});
  }
  const Json& losses = Member(json, "losses");
  status.events_lost = Count(losses, "netlink_overruns");
  status.missed = Count(Member(losses, "reconcile_corrections"), "missed");
  status.stale = Count(Member(losses, "reconcile_corrections"), "stale");
  for (const Json& turned_away : Member(losses, "overflow")) {
    if (turned_away.is_number_unsigned()) status.turned_away += turned_away.get<std::uint64_t>();
  }
  status.seconds_since_reconcile = SecondsBetween(Text(json, "last_reconcile"), status.now);
}

DaemonStatus ReadStatus(const Json& json) {
  DaemonStatus status;
  status.version = Text(json, "version");
  status.host = Text(json, "host");
  status.now = Text(json, "now");
  status.ready = Flag(json, "ready");
  status.synced = Flag(json, "synced");
  status.verdict = Text(json, "verdict");
  status.connections = Count(json, "connections");
  status.unreplied = Count(json, "unreplied");
  status.sources = Count(json, "sources");
  status.table = ReadTable(Member(json, "table"));
  status.nat = ReadNat(Member(json, "nat"));
  for (const Json& state : Member(json, "states")) {
    status.states.push_back({Text(state, "protocol") + " " + Text(state, "state"), Count(state, "connections")});
  }
  std::ranges::stable_sort(status.states, std::greater{}, &State::connections);
  const Json& rates = Member(json, "per_second");
  status.opened_per_second = Number(rates, "opened");
  status.closed_per_second = Number(rates, "closed");
  status.dropped_packets_per_second = Number(rates, "dropped_packets");
  status.kernel_losses_per_second =
      Number(rates, "table_drops") + Number(rates, "table_early_drops") + Number(rates, "table_insert_failed");
  for (const Json& rule : Member(json, "drop_rules")) {
    status.drop_rules.push_back(
        {Text(rule, "backend") + " " + Text(rule, "family") + " " + Text(rule, "table") + " " + Text(rule, "chain"),
         Text(rule, "verdict"), Text(rule, "rule"), Count(rule, "packets"), Number(rule, "packets_per_second")});
  }
  ReadTrust(json, status);
  return status;
}

Series ReadSeries(const Json& json, const char* key) {
  Series series;
  for (const Json& value : Member(json, key)) {
    series.push_back(value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN());
  }
  return series;
}

// Parses the answer and checks that it is an object with this member, like every answer of conntally.
Taken Take(const std::string& answer, const char* member, const std::function<void(const Json&)>& take) {
  const auto json = ParseAnswer(answer);
  if (!json) return json.error();
  if (!json->is_object() || !json->contains(member)) return StrangeAnswer(std::string("it has no ") + member);
  try {
    take(*json);
  } catch (const Json::exception& error) {
    return StrangeAnswer(error.what());
  }
  return Ok();
}

}  // namespace

Taken TakeStatus(const std::string& answer, Model& model) {
  return Take(answer, "synced", [&](const Json& json) { model.status = ReadStatus(json); });
}

Taken TakeSources(const std::string& answer, Model& model) {
  return Take(answer, "sources", [&](const Json& json) {
    std::vector<Source> sources;
    for (const Json& source : json.at("sources")) sources.push_back(ReadSource(source));
    model.sources = std::move(sources);
    model.sources_total = Count(json, "total");
  });
}

Taken TakeOpenedSource(const std::string& answer, Model& model) {
  return Take(answer, "sources", [&](const Json& json) {
    model.opened.reset();
    for (const Json& source : json.at("sources")) {
      if (Text(source, "source") == model.opened_source) model.opened = ReadSource(source);
    }
  });
}

Taken TakeAlerts(const std::string& answer, Model& model) {
  return Take(answer, "alerts", [&](const Json& json) {
    std::vector<Alert> alerts;
    for (const Json& alert : json.at("alerts")) {
      alerts.push_back({Text(alert, "alert"), Text(alert, "severity"), Text(alert, "state"), Text(alert, "source"),
                        Text(alert, "rule"), Text(alert, "since"), Text(alert, "summary"), Text(alert, "description"),
                        Flag(alert, "degraded")});
    }
    const auto rank = [](const Alert& alert) {
      return (alert.state == "firing"    ? 0
              : alert.state == "pending" ? 10
                                         : 20) +
             (alert.severity == "critical"  ? 0
              : alert.severity == "warning" ? 1
                                            : 2);
    };
    std::ranges::stable_sort(alerts, std::less{}, rank);
    model.alerts = std::move(alerts);
    model.alerts_known = true;
  });
}

Taken TakeDrops(const std::string& answer, Model& model) {
  return Take(answer, "drops", [&](const Json& json) {
    std::vector<LateDrop> drops;
    for (const Json& drop : json.at("drops")) {
      drops.push_back({Text(drop, "last"), Text(drop, "source"), Text(drop, "destination"), Text(drop, "protocol"),
                       Text(drop, "interface"), Text(drop, "hook"), Text(drop, "rule"), Count(drop, "port"),
                       Count(drop, "packets")});
    }
    model.late_drops = std::move(drops);
  });
}

Taken TakeDetails(const std::string& answer, Model& model) {
  return Take(answer, "sources", [&](const Json& json) {
    for (const Json& source : json.at("sources")) {
      Detail detail{.top_port = {}, .kinds = {}};
      detail.pending = Flag(source, "pending");
      detail.age_seconds = Number(source, "age_seconds");
      detail.others = Count(source, "others");
      if (const Json& top = Member(source, "top_port"); top.is_object()) {
        const std::uint64_t port = Count(top, "destination_port");
        detail.top_port = Text(top, "protocol") + (port != 0 ? "/" + std::to_string(port) : "");
      }
      for (const Json& kind : Member(source, "kinds")) {
        detail.kinds.push_back(
            {Text(kind, "protocol"), Count(kind, "destination_port"), Text(kind, "state"), Count(kind, "connections")});
      }
      model.details[Text(source, "source")] = std::move(detail);
    }
  });
}

Taken TakeHistory(const std::string& answer, Model& model) {
  return Take(answer, "times", [&](const Json& json) { model.entries = ReadSeries(json, "entries"); });
}

Taken TakeOpenedHistory(const std::string& answer, Model& model) {
  return Take(answer, "times", [&](const Json& json) {
    model.opened_connections = ReadSeries(json, "connections");
    model.opened_new_rate = ReadSeries(json, "new_rate");
    model.opened_drop_rate = ReadSeries(json, "drop_rate");
  });
}

}  // namespace conntally::top
