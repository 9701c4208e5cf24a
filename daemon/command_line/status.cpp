#include "daemon/command_line/status.h"

#include <spdlog/fmt/fmt.h>

#include <ostream>
#include <string>

#include "collectors/system/shown_text.h"
#include "daemon/command_line/client/answer.h"
#include "daemon/command_line/client/ask_daemon.h"
#include "daemon/command_line/load_config.h"

namespace conntally {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kValueBytesMax = 400;
constexpr std::size_t kRowsMax = 200;  // of one kind; conntally has fewer

// A number as received; throws for anything else.
std::string Figure(const Json& json, const char* key) {
  static_cast<void>(json.at(key).get<double>());
  return json.at(key).dump();
}

std::string ForPeople(const Json& status) {
  std::string text = fmt::format("conntally {}\n", ShownLine(status.at("version").get<std::string>(), kValueBytesMax));
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<13} {}\n", name, ShownLine(value, kValueBytesMax));
  };
  line("synced", status.at("verdict").get<std::string>());
  if (const Json& table = status.at("table"); !table.is_null()) {
    const Json& until_full = table.at("seconds_until_full");
    line("table",
         fmt::format("{} of {} entries, {}", Figure(table, "entries"), Figure(table, "limit"),
                     until_full.is_null() ? "not growing" : fmt::format("full in {:.0f} s", until_full.get<double>())));
    line("kernel losses", fmt::format("{} dropped, {} dropped early, {} insertions failed", Figure(table, "drops"),
                                      Figure(table, "early_drops"), Figure(table, "insert_failed")));
  }
  line("tallied",
       fmt::format("{} connections of {} sources", Figure(status, "connections"), Figure(status, "sources")));
  if (const Json alerts = status.value("alerts", Json()); !alerts.is_null()) {
    const std::string facts = alerts.contains("info") ? Figure(alerts, "info") : "0";
    line("alerts", fmt::format("{} firing, {} of them critical; {} pending{}", Figure(alerts, "firing"),
                               Figure(alerts, "critical"), Figure(alerts, "pending"),
                               facts == "0" ? "" : fmt::format("; {} for information", facts)));
  }
  std::size_t rows = 0;
  for (const auto& [name, collector] : status.at("collectors").items()) {
    if (++rows > kRowsMax) break;
    line("collector", name + ": " +
                          (collector.at("success").get<bool>() ? "works"
                           : collector.contains("off")         ? "off: " + collector.at("off").get<std::string>()
                                                               : collector.value("failure", "fails")));
  }
  const Json& losses = status.at("losses");
  line("losses", fmt::format("{} events; comparisons found {} missed, {} stale", Figure(losses, "netlink_overruns"),
                             Figure(losses.at("reconcile_corrections"), "missed"),
                             Figure(losses.at("reconcile_corrections"), "stale")));
  rows = 0;
  for (const auto& [what, count] : losses.at("overflow").items()) {
    if (count.get<double>() > 0 && ++rows <= kRowsMax) line("turned away", fmt::format("{}: {}", what, count.dump()));
  }
  return text;
}

}  // namespace

Result<std::string> StatusForPeople(const std::string& answer) {
  const auto status = ParseAnswer(answer);
  if (!status) return status.error();
  try {
    return ForPeople(*status);
  } catch (const Json::exception& error) {
    return StrangeAnswer(error.what());
  }
}

int ShowStatus(const StatusCommand& command, std::ostream& output, std::ostream& errors) {
  const ConfigOrFaults loaded = LoadConfig(command.config_file, command.overrides);
  if (const auto* faults = std::get_if<std::vector<ConfigFault>>(&loaded)) {
    for (const ConfigFault& fault : *faults) errors << Describe(fault, command.config_file.path) << '\n';
    return 1;
  }
  const auto peer = FindDaemon(std::get<Config>(loaded), command.peer, errors);
  if (!peer) return 1;
  const auto answer = AskDaemon(*peer, "/api/v1/status");
  if (!answer) {
    const bool runs = answer.error().code >= 400;  // the HTTP status
    errors << "conntally: " << answer.error().message
           << (runs ? "\n"
                    : "; is the daemon running (systemctl status conntally), and at this address "
                      "(--web.listen-address)?\n");
    return 1;
  }
  const auto people = StatusForPeople(*answer);  // also for JSON: checks whether it is a status at all
  if (!people) {
    errors << "conntally: " << people.error().message << '\n';
    return 1;
  }
  output << (command.json ? ShownJson(*answer) : *people);
  return 0;
}

}  // namespace conntally
