// Runs the alerts: once a second, on its own thread, it gathers and judges the evidence, logs each transition,
// publishes the firing alerts and pushes them to the Alertmanagers. Event processing never waits for it. Before the
// first evaluation it restores what the previous process saved.
//
// Threads: Start and Stop on the main thread; all others on any.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "collectors/system/collector_report.h"
#include "config/config.h"
#include "daemon/alerts/alert_reader.h"
#include "daemon/alerts/alertmanager/alertmanager_push.h"
#include "daemon/alerts/engine/alert_engine.h"
#include "daemon/alerts/kinds/alert.h"
#include "daemon/state/state_keeper.h"

namespace conntally {

class AlertService {
 public:
  // Gathers the evidence; called on the service's thread, while it runs.
  using Gather = std::function<AlertEvidence(const AlertRules&)>;

  // The directory of the state, and the network namespace, as for StateKeeper.
  struct Kept {
    std::string directory;
    std::string namespace_path;
  };

  AlertService(const Config& config, Gather gather, Kept kept = {})
      : gather_(std::move(gather)),
        config_(config),
        state_(std::move(kept.directory), std::move(kept.namespace_path)) {}
  ~AlertService() { Stop(); }

  // Takes up what was saved, so that nobody who asks sees a moment without alerts. Once, before Start.
  void Restore();
  void Start();
  void Stop();

  // Takes effect at the next evaluation.
  void set_config(const Config& config);

  // Adds the counts of what its bounds turned away.
  void Describe(CollectorReport& report) const;
  std::shared_ptr<const AlertFigures> figures() const;

 private:
  static constexpr std::chrono::seconds kInterval{1};
  static constexpr std::chrono::seconds kSaveSoon{5};    // after an alert begins or ends
  static constexpr std::chrono::hours kAlertsAgeMax{1};  // an older alert is not the same trouble

  void Run();
  void Look();
  void Save();

  const Gather gather_;
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable woken_;
  bool stopping_ = false;
  Config config_;
  std::shared_ptr<const AlertFigures> figures_ = std::make_shared<AlertFigures>();

  AlertmanagerPush push_;

  // Only the thread uses these, and Restore before it.
  AlertReader reader_;
  AlertEngine engine_;
  StateKeeper state_;
  bool changed_ = true;  // since it was last saved; at first, so that a directory that takes nothing is told soon
  std::chrono::steady_clock::time_point saved_{};
};

}  // namespace conntally
