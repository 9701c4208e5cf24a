#include "collectors/nat/nat_collector.h"

#include <spdlog/spdlog.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "collectors/nat/nat_census.h"
#include "collectors/nat/nat_reader.h"

namespace conntally {
namespace {

// Of this thread; it includes the kernel's walks through its table.
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
  if (shared->status.success || !shared->status.failure.empty()) report.statuses["nat"] = shared->status;
  report.overflows["nat_connections"] = shared->connections_turned_away;
  report.overflows["nat_ports"] = shared->uses_turned_away;
  report.overflows["nat_destinations"] = shared->translations_turned_away;
}

void NatCollector::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto began = Clock::now();
    const bool hurried = std::exchange(shared_.Lock()->hurry, false);
    if (EnterNamespace()) Look(stop, hurried);
    Wait(began, stop);
  }
}

bool NatCollector::EnterNamespace() {
  const auto followed = network_namespace_.Follow();
  if (followed && *followed == FollowedNamespace::Outcome::kSame) return true;
  found_none_ = false;
  const auto shared = shared_.Lock();
  shared->figures.reset();  // from another namespace
  if (!followed) shared->status = {false, 0, followed.error().message};
  return static_cast<bool>(followed);
}

void NatCollector::Look(const std::stop_token& stop, bool hurried) {
  const auto began = Clock::now();
  const std::uint64_t seen_before = std::exchange(translations_seen_, options_.translations_seen());
  if (found_none_ && !hurried && seen_before == translations_seen_) {
    auto none = std::make_shared<NatFigures>();
    none->began = began;
    cost_ = {};
    shared_.Lock()->figures = std::move(none);
    return;
  }
  const auto cpu_before = CpuTime();
  NatCensus census(options_.grouping, ThisKernelTakesClosedPortsAgain());
  const Status read = ReadTranslated(stop, census);
  if (stop.stop_requested()) return;
  const std::shared_ptr<const RuleFigures> figures = options_.rules();
  const SourceNatRules rules = RulesOf(figures.get());
  auto counted = std::make_shared<NatFigures>(census.Finish(rules));
  counted->began = began;
  found_none_ = read && counted->uses.empty() && counted->destinations.empty();
  cost_ = CpuTime() - cpu_before;
  connections_turned_away_.EndRound(census.turned_away().connections);
  uses_turned_away_.EndRound(census.turned_away().uses);
  translations_turned_away_.EndRound(census.turned_away().translations);

  const auto shared = shared_.Lock();
  const std::chrono::duration<double> took = Clock::now() - began;
  shared->status = {static_cast<bool>(read), took.count(),
                    read ? std::string()
                         : "cannot read what is translated: " + read.error().message +
                               (read.error().code == EPERM ? "; needs CAP_NET_ADMIN" : "")};
  if (read) shared->figures = std::move(counted);
  shared->connections_turned_away = connections_turned_away_.total();
  shared->uses_turned_away = uses_turned_away_.total();
  shared->translations_turned_away = translations_turned_away_.total();
}

void NatCollector::Wait(Clock::time_point began, const std::stop_token& stop) {
  const auto usual = began + std::max<std::chrono::nanoseconds>(kPeriod, cost_ * kPauseFactor);
  const auto hurried = began + std::max<std::chrono::nanoseconds>(kPeriod, cost_ * kHurriedPauseFactor);
  for (auto now = Clock::now(); !stop.stop_requested(); now = Clock::now()) {
    {
      const auto shared = shared_.Lock();
      const auto until = [&] { return shared->hurry ? std::min(usual, hurried) : usual; };
      if (now >= until()) return;
      const bool hurries = shared->hurry;
      woken_.wait_until(shared.lock(), stop, std::min<Clock::time_point>(until(), now + kFollow),
                        [&] { return shared->hurry != hurries; });
    }
    // A deleted namespace is freed only when this thread leaves it.
    const auto followed = network_namespace_.Follow();
    if (followed && *followed == FollowedNamespace::Outcome::kSame) continue;
    if (followed) shared_.Lock()->figures.reset();
    if (followed || shared_.Lock()->status.success) return;
  }
}

}  // namespace conntally
