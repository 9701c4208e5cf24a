// The NAT collector: surveys the kernel's table for the use of address translation, on its own thread. Its figures are
// exact at each survey.
//
// The pace: a survey every kPeriod, or every kPauseFactor times the cost of the last one, so that it takes at most
// about a two-hundredth of a core. If the last one found no translation, and no event has shown one since, it is
// skipped. When the kernel fails to insert entries, its only sign that ports run out, the next survey comes as soon as
// it takes at most a tenth of a core.
//
// Threads: Start and Stop on the main thread; all others on any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "collectors/conntrack/flows/flow_attribution.h"
#include "collectors/nat/nat_figures.h"
#include "collectors/rules/rule_counters.h"
#include "collectors/system/collector.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/threads/guarded.h"
#include "collectors/system/threads/worker_thread.h"
#include "collectors/tally/turned_away.h"

namespace conntally {

class NatCollector : public Collector {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPeriod{2};
  static constexpr std::chrono::seconds kFollow{1};  // how often to check for another namespace
  static constexpr int kPauseFactor = 200;
  static constexpr int kHurriedPauseFactor = 10;

  struct Options {
    SourceGrouping grouping;
    std::string network_namespace_path = {};
    std::function<std::shared_ptr<const RuleFigures>()> rules;  // may return null; any thread
    std::function<std::uint64_t()> translations_seen;           // ConntrackHealth's; any thread
  };
  explicit NatCollector(Options options) : options_(std::move(options)) {}

  void Start() override;
  void Stop() override { worker_.Stop(); }
  void Describe(CollectorReport& report) const override;

  // Null before the first survey.
  std::shared_ptr<const NatFigures> figures() const { return shared_.Lock()->figures; }

  // Reports the kernel's counter from time to time: a rise requests a survey.
  void Notice(std::uint64_t insert_failed);

 private:
  struct Shared {
    std::shared_ptr<const NatFigures> figures = {};
    CollectorStatus status = {};
    std::uint64_t insert_failed = 0;
    bool noticed = false;  // insert_failed has been read
    bool hurry = false;
    std::uint64_t connections_turned_away = 0;
    std::uint64_t uses_turned_away = 0;
    std::uint64_t translations_turned_away = 0;
  };

  void Run(const std::stop_token& stop);
  bool EnterNamespace();
  void Look(const std::stop_token& stop, bool hurried);
  void Wait(Clock::time_point began, const std::stop_token& stop);

  const Options options_;
  Guarded<Shared> shared_;
  std::condition_variable_any woken_;

  // Only the thread uses these.
  FollowedNamespace network_namespace_{options_.network_namespace_path};
  std::chrono::nanoseconds cost_{};
  std::uint64_t translations_seen_ = 0;  // when the last survey began
  bool found_none_ = false;              // then
  TurnedAway connections_turned_away_, uses_turned_away_, translations_turned_away_;
  Worker worker_;
};

}  // namespace conntally
