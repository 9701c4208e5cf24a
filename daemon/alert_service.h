// The alerts at work: once a second, on a thread of its own that no ingestion waits for, evidence is gathered and judged, each transition
// logged, what fires published and handed to the Alertmanagers.
//
// Threads: Start and Stop on the main thread; the rest on any.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "config/config.h"
#include "daemon/alerts/alert.h"
#include "daemon/alerts/alert_engine.h"
#include "daemon/alerts/alert_reader.h"
#include "daemon/alerts/alertmanager_push.h"
#include "daemon/observer.h"
#include "daemon/snapshot.h"

namespace conntally {

class AlertService {
 public:
  // The observer outlives the service.
  AlertService(const Config& config, Observer& observer);
  ~AlertService() { Stop(); }

  void Start();
  void Stop();

  // From the next look on.
  void set_config(const Config& config);

  // Fills in the snapshot's alerts.
  void Describe(Snapshot& snapshot) const;
  std::shared_ptr<const AlertFigures> figures() const;

 private:
  static constexpr std::chrono::seconds kInterval{1};

  void Run();
  void Look();

  Observer& observer_;
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
