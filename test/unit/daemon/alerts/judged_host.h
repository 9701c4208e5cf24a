// A host whose evidence a test makes up, judged as the daemon does: once a second, through the engine.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "daemon/alerts/alert_reader.h"
#include "daemon/alerts/engine/alert_engine.h"

namespace conntally {

inline constexpr double kNever = std::numeric_limits<double>::infinity();

// Evidence of a host where nothing is wrong, looked at once a second.
struct Host {
  Host() {
    evidence.table = TableStatistics{};
    evidence.table->limit = 1000;
    evidence.table->entries = 100;
    evidence.seconds_until_full = kNever;
    evidence.ready = evidence.synced = true;
    Look();
  }

  const AlertReadings& Look(std::chrono::seconds after = std::chrono::seconds(1)) {
    evidence.now += after;
    readings = reader.Read(AlertRules(config.alerts), evidence);
    return readings;
  }
  // Through the engine, as the daemon does.
  void Run(std::chrono::seconds duration) {
    for (std::chrono::seconds i{0}; i < duration; ++i) {
      Look();
      engine.Update(
          AlertRules(config.alerts), readings,
          {evidence.now, AlertTime(std::chrono::floor<std::chrono::milliseconds>(evidence.now.time_since_epoch()))});
    }
  }
  const AlertReading* Find(AlertKind kind, const std::string& source = "", const std::string& rule = "") const {
    for (const AlertReading& reading : readings.readings) {
      if (reading.subject == AlertSubject{kind, source, rule}) return &reading;
    }
    return nullptr;
  }
  std::vector<std::string> Firing() const {
    std::vector<std::string> firing;
    for (const Alert& alert : engine.alerts()) {
      if (alert.visible_firing())
        firing.push_back(std::string(NameOf(alert.subject.kind)) + " " + NameOf(alert.severity) + " " +
                         alert.subject.source);
    }
    return firing;
  }
  std::uint64_t& Counter(TableCounter which) { return evidence.table->counters[static_cast<std::size_t>(which)]; }
  SourceFigures& Source(const std::string& name) {
    for (AlertEvidence::Source& source : evidence.sources) {
      if (source.name == name) return source.figures;
    }
    evidence.sources.push_back({name, {}});
    evidence.sources.back().figures.source = *IpAddress::Parse(name);
    return evidence.sources.back().figures;
  }

  // Its packets are dropped by the rule, to this port; `packets` in all so far.
  SourceDrops& Dropped(const std::string& name, const std::string& rule, std::uint16_t port, std::uint64_t packets) {
    AlertEvidence::DroppedSource* found = nullptr;
    for (auto& source : evidence.dropped) {
      if (source.name == name) found = &source;
    }
    if (found == nullptr) {
      evidence.dropped.push_back({name, {}});
      found = &evidence.dropped.back();
      found->drops.source = found->figures.source = *IpAddress::Parse(name);
    }
    if (packets > found->drops.packets) found->drops.last_dropped = evidence.now;
    found->drops.packets = packets;
    found->drops.shares = {{rule, DropVia::kEbpf, packets}};
    found->drops.targets = {{6, port, 10}};
    return found->drops;
  }
  // The port answers, so it is a service.
  void Answers(std::uint16_t port, std::uint32_t attempts = 20, std::uint32_t unanswered = 0, std::uint8_t protocol = 6,
               const std::string& destination = "192.0.2.1", std::uint32_t sources = 10, std::uint32_t refused = 0) {
    auto answers = std::make_shared<AnswerFigures>();
    if (evidence.answers) *answers = *evidence.answers;
    std::erase_if(answers->services, [&](const auto& service) { return service.port == port; });
    answers->services.push_back(
        {*IpAddress::Parse(destination), port, protocol, attempts, unanswered, refused, sources});
    evidence.answers = answers;
  }

  Config config;
  AlertReader reader;
  AlertEngine engine;
  AlertEvidence evidence;
  AlertReadings readings;
};

}  // namespace conntally
