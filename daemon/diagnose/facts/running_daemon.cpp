#include "daemon/diagnose/facts/running_daemon.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace conntally::diagnose {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::milliseconds kTimeout{1000};

RunningDaemon::Source ReadSource(const Json& json) {
  RunningDaemon::Source source;
  source.source = json.at("source").get<std::string>();
  source.connections = json.at("connections").get<std::uint64_t>();
  source.new_rate = json.at("new_rate").get<double>();
  source.drop_rate = json.value("drop_rate", 0.0);
  for (const Json& drop : json.at("drops")) {
    const Json rule = drop.value("rule", Json(nullptr));
    source.drops.push_back(
        fmt::format("{} packets, by {} (seen by {})", drop.at("packets").get<std::uint64_t>(),
                    rule.is_string() ? "`" + rule.get<std::string>() + "`" : "a rule that is not known",
                    drop.at("via").get<std::string>()));
  }
  return source;
}

Result<Json> AskJson(const DaemonPeer& peer, const std::string& path) {
  const auto answer = AskDaemon(peer, path, kTimeout);
  if (!answer) return answer.error();
  return Json::parse(*answer);
}

Result<RunningDaemon> Ask(const DaemonPeer& peer, const Question& question) {
  const auto status = AskJson(peer, "/api/v1/status");
  if (!status) return status.error();
  RunningDaemon daemon;
  daemon.synced = status->at("synced").get<bool>();
  if (const Json& table = status->at("table"); !table.is_null()) {
    daemon.entries = table.at("entries").get<std::uint64_t>();
    daemon.drops = table.at("drops").get<std::uint64_t>();
    daemon.insert_failed = table.at("insert_failed").get<std::uint64_t>();
    if (const Json& until = table.at("seconds_until_full"); until.is_number())
      daemon.seconds_until_full = until.get<double>();
  }
  for (const auto& [name, collector] : status->at("collectors").items()) {
    if (!collector.at("success").get<bool>() && !collector.contains("off")) daemon.failing_collectors.push_back(name);
  }
  const auto fastest = AskJson(peer, "/api/v1/sources?sort=new_rate&limit=5");
  if (!fastest) return fastest.error();
  for (const Json& source : fastest->at("sources")) daemon.fastest.push_back(ReadSource(source));
  if (question.source) {
    const auto asked = AskJson(peer, "/api/v1/sources?limit=1&source=" + question.source->ToString());
    if (!asked) return asked.error();
    for (const Json& source : asked->at("sources")) daemon.asked = ReadSource(source);
  }
  return daemon;
}

}  // namespace

Result<RunningDaemon> AskRunningDaemon(const DaemonPeer& peer, const Question& question) {
  try {
    return Ask(peer, question);
  } catch (const Json::exception& error) {
    return Error{"what answers at " + peer.url + " is not conntally, or of another version: " + error.what()};
  }
}

bool WatchesTheSame(const RunningDaemon& daemon, const TableStatistics& table) {
  const std::uint64_t larger = std::max(daemon.entries, table.entries);
  const std::uint64_t apart = larger - std::min(daemon.entries, table.entries);
  const auto near = [](std::uint64_t earlier, std::uint64_t later) {
    return later >= earlier && later - earlier <= 100 + earlier / 10;
  };
  return apart <= 100 + larger / 5 && near(daemon.drops, table.counter(TableCounter::kDrop)) &&
         near(daemon.insert_failed, table.counter(TableCounter::kInsertFailed));
}

}  // namespace conntally::diagnose
