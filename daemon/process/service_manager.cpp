#include "daemon/process/service_manager.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

Result<std::string> AddressOf(int descriptor) {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(descriptor, &bound.any, &size) != 0) return Error::FromErrno("cannot read its address", errno);
  char text[INET6_ADDRSTRLEN] = "";
  if (bound.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &bound.v4.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(bound.v4.sin_port));
  }
  inet_ntop(AF_INET6, &bound.v6.sin6_addr, text, sizeof(text));
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(bound.v6.sin6_port));
}

}  // namespace

Result<std::optional<PassedSocket>> TakePassedSocket() {
  const int count = sd_listen_fds(1);
  if (count < 0) return Error::FromErrno("cannot take the socket that systemd passes", -count);
  if (count == 0) return std::optional<PassedSocket>();
  const int descriptor = SD_LISTEN_FDS_START;
  if (count > 1) {
    return Error{"systemd passes " + std::to_string(count) +
                 " sockets, and conntally serves one: leave one ListenStream= in conntally.socket"};
  }
  const bool is_tcp = sd_is_socket_inet(descriptor, AF_UNSPEC, SOCK_STREAM, 1, 0) > 0;
  auto address = is_tcp ? AddressOf(descriptor) : Result<std::string>(Error{"it is no TCP socket that listens"});
  if (!address) {
    return Error{"cannot serve on the socket that systemd passes: " + address.error().message +
                 "; write ListenStream=HOST:PORT in conntally.socket"};
  }
  return std::optional<PassedSocket>({descriptor, *std::move(address)});
}

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
