// The one HTTP port. libmicrohttpd does the protocol on its own epoll instance; one thread of ours accepts
// and drives it, so handlers run one after another on that thread and may block it no longer than a scrape
// may wait.
//
// Hostile clients: a request's header must be whole within an absolute deadline, however its bytes drip; a
// response must be taken within another; past three quarters of the connections allowed, an idle one, else
// the oldest that has not yet asked for anything, else one that does not take its response, is closed, so
// that a scrape always finds room. Bodies that wait for their clients are bounded in total likewise, and who
// asks for the same at once shares one.
//
// Start and the destructor: the thread that owns the server. Handlers: the server's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "collectors/system/result.h"
#include "daemon/http/message.h"

namespace conntally::http {

struct Options {
  std::string listen_address = "127.0.0.1:9105";  // HOST:PORT, [V6]:PORT, :PORT; port 0 picks a free one
  // At least 4; lowered (and logged) to what RLIMIT_NOFILE, raised as far as it may be, leaves room for.
  unsigned connections_max = 1024;
  // From accept, or the first byte on a kept-alive connection, to a whole header. Seen to ten times a
  // deadline, at least 4 times a second.
  std::chrono::milliseconds header_deadline = std::chrono::seconds(10);
  // From the whole request to its response's last byte taken.
  std::chrono::milliseconds response_deadline = std::chrono::seconds(30);
  // How long a kept-alive connection may ask nothing; as long as nobody needs its room.
  std::chrono::milliseconds idle_deadline = std::chrono::minutes(2);
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t held_bytes_max = 256 * 1024 * 1024;  // bodies not yet taken, all together; beyond: 503
};

// What the server did, for /metrics. Read on any thread; each figure is exact, but they are not read
// together.
struct ServerStatistics {
  std::uint64_t requests = 0;
  std::uint64_t connections_turned_away = 0;  // closed for want of room, or of memory for another's response
  std::uint64_t responses_turned_away = 0;    // 503 for want of memory
  std::uint64_t deadlines_missed = 0;         // header or response not done in time
  std::uint64_t handler_failures = 0;         // a handler or a stream threw
  unsigned connections = 0;                   // open now
};

class Server {
 public:
  // `routes` maps an exact path to its handler. GET and HEAD only: an unknown path is 404, another method 405
  // with `Allow`, a malformed target 400, a request with a body 413, a target over 8 kB 414, a header too
  // long 431, a handler that throws 500, all with a JSON error `{"error": "..."}`. (What libmicrohttpd cannot
  // parse at all it answers itself.) Bodies of 1 kB and more are gzip'ed when `Accept-Encoding` allows it
  // (strings only; streams go as they are, chunked). Errors name the address: "cannot listen on
  // 127.0.0.1:9105: ...".
  static Result<std::unique_ptr<Server>> Start(Options options, std::map<std::string, Handler> routes);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Closes every connection, whatever it is doing, as soon as the handler that runs has returned.
  ~Server();

  std::uint16_t port() const;  // the one really bound
  ServerStatistics statistics() const;

 private:
  class Loop;
  explicit Server(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace conntally::http
