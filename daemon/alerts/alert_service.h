// The alerts at work: once a second, on a thread of its own that no ingestion waits for, evidence is gathered and
// judged, each transition logged, what fires published and handed to the Alertmanagers. Before the first look it takes
// up what the process before it saved.
//
// Threads: Start and Stop on the main thread; the rest on any.
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
  // Gathers what is to be judged; called on the service's thread, while it runs.
  using Gather = std::function<AlertEvidence(const AlertRules&)>;

  // Where the state is kept, and of which namespace, as StateKeeper has it.
  struct Kept {
    std::string directory;
    std::string namespace_path;
  };

  AlertService(const Config& config, Gather gather, Kept kept = {})
      : gather_(std::move(gather)),
        config_(config),
        state_(std::move(kept.directory), std::move(kept.namespace_path)) {}
  ~AlertService() { Stop(); }

  void Start();
  void Stop();

  // From the next look on.
  void set_config(const Config& config);

  // Adds what its bounds turned away.
  void Describe(CollectorReport& report) const;
  std::shared_ptr<const AlertFigures> figures() const;

 private:
  static constexpr std::chrono::seconds kInterval{1};
  static constexpr std::chrono::seconds kSaveSoon{5};    // after what fires has changed
  static constexpr std::chrono::hours kAlertsAgeMax{1};  // what fired before that is another trouble

  void Run();
  void Look();
  void Restore();
  void Save();

  const Gather gather_;
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable woken_;
  bool stopping_ = false;
  Config config_;
  std::shared_ptr<const AlertFigures> figures_ = std::make_shared<AlertFigures>();

  AlertmanagerPush push_;

  // The thread's own.
  AlertReader reader_;
  AlertEngine engine_;
  StateKeeper state_;
  bool restored_ = false;
  bool changed_ = false;  // since the last time that it was saved
  std::chrono::steady_clock::time_point saved_{};
};

}  // namespace conntally
