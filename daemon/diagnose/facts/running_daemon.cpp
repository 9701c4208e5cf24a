#include "daemon/diagnose/facts/running_daemon.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collectors/system/shown_text.h"
#include "daemon/command_line/client/answer.h"

namespace conntally::diagnose {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::milliseconds kTimeout{1000};
// Bounds on text repeated from the answer, which may be anything.
constexpr std::size_t kTextBytesMax = 300;
constexpr std::size_t kRowsMax = 50;

std::string Told(const Json& json) { return ShownLine(json.get_ref<const std::string&>(), kTextBytesMax); }

// Throws for anything but a count: a number with a fraction, or below zero, would become a wrong one.
std::uint64_t Count(const Json& json, const char* name) {
  return json.at(name).get_ref<const Json::number_unsigned_t&>();
}

RunningDaemon::Source ReadSource(const Json& json) {
  RunningDaemon::Source source;
  source.source = Told(json.at("source"));
  source.connections = Count(json, "connections");
  source.new_rate = json.at("new_rate").get<double>();
  source.drop_rate = json.value("drop_rate", 0.0);
  for (const Json& drop : json.at("drops")) {
    if (source.drops.size() == kRowsMax) break;
    const Json rule = drop.value("rule", Json(nullptr));
    source.drops.push_back(fmt::format("{} packets, by {} (seen by {})", Count(drop, "packets"),
                                       rule.is_string() ? "`" + Told(rule) + "`" : "a rule that is not known",
                                       Told(drop.at("via"))));
  }
  return source;
}

RunningDaemon Read(const Json& status, const Json& fastest, const Json* asked) {
  RunningDaemon daemon;
  daemon.synced = status.at("synced").get<bool>();
  if (const Json& table = status.at("table"); !table.is_null()) {
    daemon.entries = Count(table, "entries");
    daemon.drops = Count(table, "drops");
    daemon.insert_failed = Count(table, "insert_failed");
    if (const Json& until = table.at("seconds_until_full"); until.is_number())
      daemon.seconds_until_full = until.get<double>();
  }
  for (const auto& [name, collector] : status.at("collectors").items()) {
    const bool fails = !collector.at("success").get<bool>() && !collector.contains("off");
    if (fails && daemon.failing_collectors.size() < kRowsMax)
      daemon.failing_collectors.push_back(ShownLine(name, kTextBytesMax));
  }
  for (const Json& source : fastest.at("sources")) {
    if (daemon.fastest.size() < kRowsMax) daemon.fastest.push_back(ReadSource(source));
  }
  if (asked == nullptr) return daemon;
  for (const Json& source : asked->at("sources")) daemon.asked = ReadSource(source);
  return daemon;
}

}  // namespace

Result<RunningDaemon> ReadRunningDaemon(const DaemonAnswers& answers) {
  const auto status = ParseAnswer(answers.status), fastest = ParseAnswer(answers.fastest);
  const auto asked = ParseAnswer(answers.asked.value_or("null"));
  for (const auto* document : {&status, &fastest, &asked}) {
    if (!*document) return document->error();
  }
  try {
    return Read(*status, *fastest, answers.asked ? &*asked : nullptr);
  } catch (const Json::exception& error) {
    return StrangeAnswer(error.what());
  }
}

Result<RunningDaemon> AskRunningDaemon(const DaemonPeer& peer, const Question& question) {
  const auto status = AskDaemon(peer, "/api/v1/status", kTimeout);
  if (!status) return status.error();
  const auto fastest = AskDaemon(peer, "/api/v1/sources?sort=new_rate&limit=5", kTimeout);
  if (!fastest) return fastest.error();
  if (!question.source) return ReadRunningDaemon({*status, *fastest, std::nullopt});
  const auto asked = AskDaemon(peer, "/api/v1/sources?limit=1&source=" + question.source->ToString(), kTimeout);
  if (!asked) return asked.error();
  return ReadRunningDaemon({*status, *fastest, *asked});
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
