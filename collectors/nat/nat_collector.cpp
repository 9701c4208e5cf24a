#include "collectors/nat/nat_collector.h"

#include <spdlog/spdlog.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "collectors/nat/nat_census.h"
#include "collectors/nat/nat_reader.h"

namespace conntally {
namespace {

// Of this thread: the kernel's walks through its table count as well.
std::chrono::nanoseconds CpuTime() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

SourceNatRules RulesOf(const RuleFigures* figures) {
  std::vector<const BackendReading*> readings;
  if (figures == nullptr) return {readings, nullptr};
  for (const auto& [backend, one] : figures->backends) readings.push_back(&one.snapshot);
  return {readings, figures->ipsets.get()};
}

}  // namespace

void NatCollector::Start() {
  worker_.Start(
      "nat", [this](const std::stop_token& stop) { Run(stop); },
      [this](const Error& error) {
        spdlog::error("nat: {}; trying again", error.message);
        shared_.Lock()->status = {false, 0, error.message};
      });
}

void NatCollector::Notice(std::uint64_t insert_failed) {
  {
    const auto shared = shared_.Lock();
    const bool rose = shared->noticed && insert_failed > shared->insert_failed;
    shared->insert_failed = insert_failed;
    shared->noticed = true;
    if (!rose) return;
    shared->hurry = true;
  }
  woken_.notify_all();
}

void NatCollector::Describe(CollectorReport& report) const {
  const auto shared = shared_.Lock();
  report.statuses["nat"] = shared->status;
  report.overflows["nat_connections"] = shared->connections_turned_away;
  report.overflows["nat_ports"] = shared->uses_turned_away;
  report.overflows["nat_destinations"] = shared->translations_turned_away;
}

void NatCollector::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto began = Clock::now();
    shared_.Lock()->hurry = false;
    if (const auto followed = network_namespace_.Follow()) {
      Look(stop);
    } else {
      shared_.Lock()->status = {false, 0, followed.error().message};
    }
    Wait(began, stop);
  }
}

void NatCollector::Look(const std::stop_token& stop) {
  const auto began = Clock::now();
  const auto cpu_before = CpuTime();
  NatCensus census(options_.grouping, ThisKernelTakesClosedPortsAgain());
  const Status read = ReadTranslated(stop, census);
  if (stop.stop_requested()) return;
  const std::shared_ptr<const RuleFigures> figures = options_.rules();
  const SourceNatRules rules = RulesOf(figures.get());
  auto counted = std::make_shared<NatFigures>(census.Finish(rules));
  idle_ = read && rules.empty() && counted->uses.empty() && counted->destinations.empty();
  cost_ = CpuTime() - cpu_before;
  connections_turned_away_.EndRound(census.turned_away().connections);
  uses_turned_away_.EndRound(census.turned_away().uses);
  translations_turned_away_.EndRound(census.turned_away().translations);

  const auto shared = shared_.Lock();
  const std::chrono::duration<double> took = Clock::now() - began;
  shared->status = {static_cast<bool>(read), took.count(),
                    read ? std::string() : "cannot read what is translated: " + read.error().message};
  if (read) shared->figures = std::move(counted);
  shared->connections_turned_away = connections_turned_away_.total();
  shared->uses_turned_away = uses_turned_away_.total();
  shared->translations_turned_away = translations_turned_away_.total();
}

void NatCollector::Wait(Clock::time_point began, const std::stop_token& stop) {
  const std::chrono::nanoseconds least = idle_ ? kIdlePeriod : kPeriod;
  const auto usual = began + std::max<std::chrono::nanoseconds>(least, cost_ * kPauseFactor);
  const auto hurried = began + std::max<std::chrono::nanoseconds>(kPeriod, cost_ * kHurriedPauseFactor);
  const auto shared = shared_.Lock();
  if (woken_.wait_until(shared.lock(), stop, usual, [&] { return shared->hurry; }))
    woken_.wait_until(shared.lock(), stop, std::min(usual, hurried), [] { return false; });
}

}  // namespace conntally
