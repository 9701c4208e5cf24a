// The NAT collector: looks at the kernel's table for what address translation uses and does, on a thread of its own,
// with figures that are exact as of each look.
//
// The pace: a look each kPeriod, or each kPauseFactor times what the last one cost, so that it takes no more than about
// a two-hundredth of a core. Where the last one found nothing translated, and no event told of any since, the table is
// left alone. When the kernel failed to insert entries, which is all that it shows when ports run out, the next look
// comes as soon as that leaves nine tenths of a core alone.
//
// Threads: Start and Stop on the main thread; the rest on any.
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
  static constexpr std::chrono::seconds kFollow{1};  // another namespace may come to be the one to look at
  static constexpr int kPauseFactor = 200;
  static constexpr int kHurriedPauseFactor = 10;

  struct Options {
    SourceGrouping grouping;
    std::string network_namespace_path = {};
    std::function<std::shared_ptr<const RuleFigures>()> rules;  // may answer null; any thread
    std::function<std::uint64_t()> translations_seen;           // ConntrackHealth's; any thread
  };
  explicit NatCollector(Options options) : options_(std::move(options)) {}

  void Start() override;
  void Stop() override { worker_.Stop(); }
  void Describe(CollectorReport& report) const override;

  // Null before the first look.
  std::shared_ptr<const NatFigures> figures() const { return shared_.Lock()->figures; }

  // The kernel's counter, now and again: a rise of it asks for a look.
  void Notice(std::uint64_t insert_failed);

 private:
  struct Shared {
    std::shared_ptr<const NatFigures> figures = {};
    CollectorStatus status = {};
    std::uint64_t insert_failed = 0;
    bool noticed = false;  // insert_failed is some reading's
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

  // The thread's own.
  FollowedNamespace network_namespace_{options_.network_namespace_path};
  std::chrono::nanoseconds cost_{};
  std::uint64_t translations_seen_ = 0;  // when the last look began
  bool found_none_ = false;              // then
  TurnedAway connections_turned_away_, uses_turned_away_, translations_turned_away_;
  Worker worker_;
};

}  // namespace conntally
