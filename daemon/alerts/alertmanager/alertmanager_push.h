// The push to Alertmanagers: one thread sends each of them, independently, the firing alerts (alertmanager_outbox.h). A
// slow or unreachable one delays neither the others nor the callers of Update.
//
// Threads: Start and Stop on the owner's; all others on any.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/config.h"
#include "daemon/alerts/kinds/alert.h"

namespace conntally {

class AlertmanagerPush {
 public:
  AlertmanagerPush();
  ~AlertmanagerPush();
  AlertmanagerPush(const AlertmanagerPush&) = delete;
  AlertmanagerPush& operator=(const AlertmanagerPush&) = delete;

  void Start();
  // Sends the alerts that have ended, for at most kFarewell; the others stay.
  void Stop();

  // The present alerts, and the Alertmanagers to send them to. Returns at once.
  void Update(AlertList alerts, const Config::Alertmanager& config);

  std::vector<NotificationFigures> figures() const;
  // Alerts given up for lack of room.
  std::uint64_t given_up() const;

 private:
  static constexpr std::chrono::milliseconds kFarewell{1000};
  static constexpr std::chrono::seconds kLookEvery{1};
  struct Endpoint;
  struct Multi;

  void Run();
  bool TakeUpdate();
  void SendDue(bool only_ends);
  void TakeResults();
  void SayFarewell();
  bool busy() const;
  void Publish();

  std::unique_ptr<Multi> multi_;
  std::thread thread_;

  mutable std::mutex mutex_;  // guards the members below
  bool stopping_ = false;
  bool updated_ = false;
  AlertList alerts_;
  Config::Alertmanager wanted_;
  std::vector<NotificationFigures> figures_;
  std::uint64_t given_up_ = 0;

  // Only the thread uses these.
  Config::Alertmanager config_;
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints_;  // by URL
  std::uint64_t given_up_before_ = 0;                           // by removed endpoints
};

}  // namespace conntally
