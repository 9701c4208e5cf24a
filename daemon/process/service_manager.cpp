#include "daemon/process/service_manager.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include <algorithm>
#include <utility>

namespace conntally {

ServiceManager::ServiceManager() {
  std::uint64_t interval_us = 0;
  watchdog_enabled_ = sd_watchdog_enabled(0, &interval_us) > 0;
}

void ServiceManager::NotifyReady() {
  if (ready_notified_) return;
  sd_notify(0, "READY=1");
  ready_notified_ = true;
}

void ServiceManager::NotifyStatus(std::string status) {
  if (status == status_) return;
  status_ = std::move(status);
  std::string line = status_;
  std::replace(line.begin(), line.end(), '\n', ' ');
  sd_notify(0, ("STATUS=" + line).c_str());
}

void ServiceManager::NotifyReloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto now_us =
      static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  sd_notify(0, ("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now_us)).c_str());
}

void ServiceManager::NotifyReloaded() { sd_notify(0, "READY=1"); }

void ServiceManager::NotifyStopping() { sd_notify(0, "STOPPING=1"); }

void ServiceManager::FeedWatchdog(std::uint64_t heartbeat) {
  if (!watchdog_enabled_ || heartbeat == last_heartbeat_) return;
  last_heartbeat_ = heartbeat;
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace conntally
