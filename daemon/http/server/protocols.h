// Two instances of libmicrohttpd, one for plain connections and one for TLS: a running instance cannot change between
// them, but the web configuration can. The server's thread only, except for the first Start.
#pragma once

#include <microhttpd.h>
#include <poll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "collectors/system/result.h"
#include "daemon/http/server/exchange.h"

namespace conntally::http {

class Protocols {
 public:
  enum Kind : std::size_t { kPlain, kTls, kKinds };
  static Kind KindFor(const Access& access) { return access.tls ? kTls : kPlain; }

  Protocols(Exchange& exchange, unsigned connections_max, std::size_t pool_bytes)
      : exchange_(exchange), connections_max_(connections_max), pool_bytes_(pool_bytes) {}

  // Does nothing if it already runs.
  Status Start(Kind kind);
  // null: memory is short, which is logged. A connection that needs TLS is never served without it.
  MHD_Daemon* For(const Access& access);
  void AddWaits(std::vector<pollfd>& waits) const;
  // How long the caller may wait before Run.
  std::chrono::milliseconds Wait(std::chrono::milliseconds longest) const;
  void Run();
  // The callbacks run once more, for every connection.
  void Stop();

 private:
  struct StopDaemon {
    void operator()(MHD_Daemon* daemon) const { MHD_stop_daemon(daemon); }
  };
  struct Protocol {
    std::unique_ptr<MHD_Daemon, StopDaemon> daemon;
    int epoll_descriptor = -1;
  };

  Exchange& exchange_;
  const unsigned connections_max_;
  const std::size_t pool_bytes_;
  std::array<Protocol, kKinds> protocols_;
};

}  // namespace conntally::http
