// Notifies systemd by sd_notify(3); does nothing without systemd. Main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// A listening TCP socket that systemd passes, sd_listen_fds(3).
struct PassedSocket {
  int descriptor = -1;  // the caller closes it
  std::string address;  // HOST:PORT, or [V6]:PORT
};

// nullopt: systemd passes none. An error: more than one, or one that is not a listening TCP socket. Call it once, at
// start.
Result<std::optional<PassedSocket>> TakePassedSocket();

class ServiceManager {
 public:
  ServiceManager();

  // Call it when the service is ready, or when it is known why it is not. Only the first call notifies systemd.
  void NotifyReady();
  // The text that `systemctl status` shows. Notifies systemd only if it changed.
  void NotifyStatus(std::string status);
  void NotifyReloading();
  void NotifyReloaded();
  void NotifyStopping();

  // Feeds the watchdog, but only if `heartbeat` has changed since the last time.
  void FeedWatchdog(std::uint64_t heartbeat);

  bool ready_notified() const { return ready_notified_; }

 private:
  bool watchdog_enabled_ = false;
  bool ready_notified_ = false;
  std::string status_;
  std::uint64_t last_heartbeat_ = 0;
};

}  // namespace conntally
