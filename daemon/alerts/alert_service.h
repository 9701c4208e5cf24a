// The alerts at work: once a second, on a thread of its own that no ingestion waits for, evidence is gathered and
// judged, each transition logged, what fires published and handed to the Alertmanagers.
//
// Threads: Start and Stop on the main thread; the rest on any.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "collectors/system/collector_report.h"
#include "config/config.h"
#include "daemon/alerts/alert.h"
#include "daemon/alerts/alert_engine.h"
#include "daemon/alerts/alert_reader.h"
#include "daemon/alerts/alertmanager_push.h"

namespace conntally {

class AlertService {
 public:
  // Gathers what is to be judged; called on the service's thread, while it runs.
  using Gather = std::function<AlertEvidence(const AlertRules&)>;

  AlertService(const Config& config, Gather gather) : gather_(std::move(gather)), config_(config) {}
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

  void Run();
  void Look();

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
};

}  // namespace conntally
