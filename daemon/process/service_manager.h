// What systemd is told, as sd_notify(3) describes it; nothing is told where no systemd listens. Main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// A TCP socket on which systemd listens for us, sd_listen_fds(3).
struct PassedSocket {
  int descriptor = -1;  // the caller's to close
  std::string address;  // HOST:PORT, or [V6]:PORT
};

// nullopt: systemd passes none. An error: more than one, or one that is no listening TCP socket. Once, at start-up.
Result<std::optional<PassedSocket>> TakePassedSocket();

class ServiceManager {
 public:
  ServiceManager();

  // When the service can be relied upon, or when it is known why it cannot; systemd is told once.
  void NotifyReady();
  // What `systemctl status` shows; systemd is told when it is another than before.
  void NotifyStatus(std::string status);
  void NotifyReloading();
  void NotifyReloaded();
  void NotifyStopping();

  // Feeds the watchdog, but only when `heartbeat` moved since it was fed last.
  void FeedWatchdog(std::uint64_t heartbeat);

  bool ready_notified() const { return ready_notified_; }

 private:
  bool watchdog_enabled_ = false;
  bool ready_notified_ = false;
  std::string status_;
  std::uint64_t last_heartbeat_ = 0;
};

}  // namespace conntally
