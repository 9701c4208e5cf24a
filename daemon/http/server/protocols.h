// libmicrohttpd, once for plain connections and once for those over TLS: a running one cannot change from one to the
// other, and the web configuration in force may. The server's thread only, but for the first Start.
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

  // If it does not run yet.
  Status Start(Kind kind);
  // null: there is no memory for it, as is logged. Who is to be served over TLS is served so or not at all.
  MHD_Daemon* For(const Access& access);
  void AddWaits(std::vector<pollfd>& waits) const;
  // How long one may wait before Run.
  std::chrono::milliseconds Wait(std::chrono::milliseconds longest) const;
  void Run();
  // Its callbacks run once more, for every connection.
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
