// The push to Alertmanagers: one thread that keeps each of them, on its own, told of what fires
// (alertmanager_outbox.h). One that is slow or away holds up neither the others nor anybody who calls Update.
//
// Threads: Start and Stop on the owner's; the rest on any.
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
  // Tells what has ended, for kFarewell at most, and nothing of what has not.
  void Stop();

  // What there is now, and whom to tell of it. Returns at once.
  void Update(AlertList alerts, const Config::Alertmanager& config);

  std::vector<NotificationFigures> figures() const;
  // Alerts that were given up.
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

  mutable std::mutex mutex_;  // of what follows
  bool stopping_ = false;
  bool updated_ = false;
  AlertList alerts_;
  Config::Alertmanager wanted_;
  std::vector<NotificationFigures> figures_;
  std::uint64_t given_up_ = 0;

  // The thread's own.
  Config::Alertmanager config_;
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints_;  // by URL
  std::uint64_t given_up_before_ = 0;                           // by endpoints that are gone
};

}  // namespace conntally
