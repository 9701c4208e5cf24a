#include "daemon/command_line/status.h"

#include <spdlog/fmt/fmt.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "daemon/command_line/ask_daemon.h"
#include "daemon/command_line/load_config.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

std::string ForPeople(const Json& status) {
  std::string text = fmt::format("conntally {}\n", status.at("version").get<std::string>());
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<13} {}\n", name, value);
  };
  line("synced", status.at("verdict").get<std::string>());
  if (const Json& table = status.at("table"); !table.is_null()) {
    const Json& until_full = table.at("seconds_until_full");
    line("table",
         fmt::format("{} of {} entries, {}", table.at("entries").dump(), table.at("limit").dump(),
                     until_full.is_null() ? "not growing" : fmt::format("full in {:.0f} s", until_full.get<double>())));
    line("kernel losses", fmt::format("{} dropped, {} dropped early, {} insertions failed", table.at("drops").dump(),
                                      table.at("early_drops").dump(), table.at("insert_failed").dump()));
  }
  line("tallied",
       fmt::format("{} connections of {} sources", status.at("connections").dump(), status.at("sources").dump()));
  if (const Json alerts = status.value("alerts", Json()); !alerts.is_null()) {
    const auto facts = alerts.value("info", 0);
    line("alerts", fmt::format("{} firing, {} of them critical; {} pending{}", alerts.at("firing").dump(),
                               alerts.at("critical").dump(), alerts.at("pending").dump(),
                               facts == 0 ? "" : fmt::format("; {} for information", facts)));
  }
  for (const auto& [name, collector] : status.at("collectors").items()) {
    line("collector", name + ": " +
                          (collector.at("success").get<bool>() ? "works"
                           : collector.contains("off")         ? "off: " + collector.at("off").get<std::string>()
                                                               : collector.value("failure", "fails")));
  }
  const Json& losses = status.at("losses");
  line("losses", fmt::format("{} events; comparisons found {} missed, {} stale", losses.at("netlink_overruns").dump(),
                             losses.at("reconcile_corrections").at("missed").dump(),
                             losses.at("reconcile_corrections").at("stale").dump()));
  for (const auto& [what, count] : losses.at("overflow").items()) {
    if (count != 0) line("turned away", fmt::format("{}: {}", what, count.dump()));
  }
  return text;
}

}  // namespace

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
    errors << "conntally: " << answer.error().message
           << "; is the daemon running (systemctl status conntally), and at this "
           << "address (--web.listen-address)?\n";
    return 1;
  }
  try {
    output << (command.json ? *answer : ForPeople(Json::parse(*answer)));
  } catch (const Json::exception& error) {
    errors << "conntally: the answer is not from conntally, or from another version of it: " << error.what() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace conntally
