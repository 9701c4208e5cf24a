// The one HTTP port, plain or over TLS as the web configuration in force says, at one address or several. libmicrohttpd
// does the protocol on its own epoll instance, one for each of the two; one thread of ours accepts, drives it, and
// moves bytes, and does nothing else. Answers are rendered on other threads, one for each lane (message.h), meanwhile
// their connections wait.
//
// Who holds which bytes. A rendering is made once and shared by all who asked the same while it was being made; where
// many ask, by those of the next second, too (shared_answers.h). A long one is held packed alone, and unpacked on its
// way for whoever takes no gzip. All renderings together are bounded by held_bytes_max: before one is asked for, and
// while a stream is packed. Each connection has besides some 32 kB for its header and 16 kB of what it is being sent.
// The answers of a lane that are waited for or read are bounded in number: kShort's to half of the connections, kLong's
// to 64. Beyond a bound a slow reader is cut, else the answer is 503. The metrics are never refused: they are one
// rendering, and one place or another is always found.
//
// Who is cut when (connections.h). A request's header must be whole within an absolute deadline, however its bytes
// drip; a response must be taken within another, and some of it within a shorter one all the time. Past three quarters
// of the connections allowed every response ends its connection, and somebody leaves for each that comes: an idle one,
// else the oldest that has not asked for anything, else a slow reader. What has let go of memory gives it back to the
// kernel.
//
// Start and the destructor: the thread that owns the server. Handlers: the thread of their lane.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collectors/system/result.h"
#include "daemon/http/access/access.h"
#include "daemon/http/message.h"

namespace conntally::http {

struct Options {
  // HOST:PORT, [V6]:PORT, :PORT; port 0 picks a free one
  std::vector<std::string> listen_addresses = {"127.0.0.1:9105"};
  int inherited_socket = -1;  // listens already, so that `listen_addresses` only name it; becomes the server's
  // Who is let in, and whether over TLS; may change while the server runs.
  std::shared_ptr<const AccessControl> access = std::make_shared<const AccessControl>();
  // At least 4; lowered (and logged) to what RLIMIT_NOFILE, raised as far as it may be, leaves room for.
  unsigned connections_max = 1024;
  // From accept, or the first byte on a kept-alive connection, to a whole header. Seen to ten times a
  // deadline, at least 4 times a second.
  std::chrono::milliseconds header_deadline = std::chrono::seconds(10);
  // From the response's first byte, which is there, to its last one taken.
  std::chrono::milliseconds response_deadline = std::chrono::seconds(30);
  // How long the client may make room for nothing more of it (16 kB).
  std::chrono::milliseconds progress_deadline = std::chrono::seconds(5);
  // How long a kept-alive connection may ask nothing; as long as nobody needs its room.
  std::chrono::milliseconds idle_deadline = std::chrono::minutes(2);
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t held_bytes_max = 64 * 1024 * 1024;  // bodies not yet taken, all together; beyond: 503
  // Names, besides localhost and this host's own, that a request by a loopback address may call us; others are 421.
  std::vector<std::string> allowed_hosts = {};
};

// What the server did, for /metrics. Read on any thread; each figure is exact, but they are not read
// together.
struct ServerStatistics {
  std::uint64_t requests = 0;
  std::uint64_t connections_turned_away = 0;  // closed for want of room, or of memory for another's response
  std::uint64_t responses_turned_away = 0;    // 503 for want of memory
  std::uint64_t deadlines_missed = 0;         // header or response not done in time
  std::uint64_t handler_failures = 0;         // a handler or a stream threw
  std::uint64_t over_rate_limit = 0;          // 429 for more than rate_limit allows
  std::uint64_t passwords_turned_away = 0;    // 429 for want of room among those that wait to be checked
  unsigned connections = 0;                   // open now

  // What bounds turned away, by their names in /metrics.
  std::map<std::string, std::uint64_t> Overflows() const;
};

class Server {
 public:
  // `routes` maps an exact path to its handler. GET and HEAD only: an unknown path is 404, another method 405
  // with `Allow`, a malformed target or head 400, a foreign host 421, a request with a body 413, a target over 8 kB
  // 414, a header too long 431, a handler that throws 500, all with a JSON error `{"error": "..."}`. (What
  // libmicrohttpd cannot parse at all it answers itself, and newer ones what has no Host.) Bodies of 1 kB and more are
  // gzip'ed when `Accept-Encoding` allows it. Errors name the address: "cannot listen on 127.0.0.1:9105: ...".
  static Result<std::unique_ptr<Server>> Start(Options options, std::map<std::string, Route> routes);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Closes every connection, whatever it is doing, as soon as the handler that runs has returned.
  ~Server();

  std::uint16_t port() const;       // the one really bound, of the first address
  bool is_beyond_loopback() const;  // others than this host may reach it
  ServerStatistics statistics() const;

 private:
  class Loop;
  explicit Server(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace conntally::http
