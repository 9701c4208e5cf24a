// The one HTTP port, plain or over TLS by the web configuration in force, at one or several addresses. Two
// libmicrohttpd instances handle the protocol, one plain and one TLS, each with its own epoll. One thread of ours
// accepts connections, drives both instances and moves bytes, and does nothing else. Other threads render the answers,
// one for each lane (message.h); meanwhile the connections wait.
//
// Memory. A rendering is made once and shared by all requests that were equal while it was made; under load also by
// those of the next second (shared_answers.h). A long one is kept only compressed, and decompressed while it is sent to
// clients without gzip. held_bytes_max bounds all renderings together: it is checked before one is requested, and while
// a stream is compressed. Each connection also has some 32 kB for its header and 16 kB of send buffer. Each lane bounds
// its waiting and answering connections: kShort to half of all connections, kLong to 64. Beyond a bound a slow reader
// is cut, or else the answer is 503. The metrics are never refused: they are one rendering, and always find a place.
//
// Deadlines (connections.h). A request's header must be complete within an absolute deadline, however slowly its bytes
// come. A response must be read within another deadline, with progress within a shorter one. Above three quarters of
// the allowed connections, every response closes its connection, and each new one displaces another: an idle one, else
// the oldest without a request, else a slow reader. Freed memory is returned to the kernel.
//
// Start and the destructor: the owner's thread. Handlers: their lane's thread.
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
  int inherited_socket = -1;  // already listens, and `listen_addresses` only name it; the server takes ownership
  // Users and TLS; may change while the server runs.
  std::shared_ptr<const AccessControl> access = std::make_shared<const AccessControl>();
  // At least 4. Lowered, with a log line, to what RLIMIT_NOFILE allows after it is raised to its hard limit.
  unsigned connections_max = 1024;
  // From accept, or the first byte on a kept-alive connection, to a complete header. Checked ten times per deadline, at
  // least 4 times a second.
  std::chrono::milliseconds header_deadline = std::chrono::seconds(10);
  // From when the response is ready until its last byte is read.
  std::chrono::milliseconds response_deadline = std::chrono::seconds(30);
  // The longest time in which the client reads nothing (16 kB).
  std::chrono::milliseconds progress_deadline = std::chrono::seconds(5);
  // How long a kept-alive connection may be idle while nobody needs its place.
  std::chrono::milliseconds idle_deadline = std::chrono::minutes(2);
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t held_bytes_max = 64 * 1024 * 1024;  // all unsent bodies together; beyond: 503
  // Names that a request to a loopback address may use, besides localhost and this host's own; others get 421.
  std::vector<std::string> allowed_hosts = {};
};

// The server's counters, for /metrics. Read on any thread; each figure is exact, but they are not read at one moment.
struct ServerStatistics {
  std::uint64_t requests = 0;
  std::uint64_t connections_turned_away = 0;  // closed for lack of room, or of memory for another response
  std::uint64_t responses_turned_away = 0;    // 503 for lack of memory
  std::uint64_t deadlines_missed = 0;         // header or response too late
  std::uint64_t handler_failures = 0;         // a handler or a stream threw
  std::uint64_t over_rate_limit = 0;          // 429 for more than rate_limit allows
  std::uint64_t passwords_turned_away = 0;    // 429 because too many passwords wait to be checked
  unsigned connections = 0;                   // open now

  // Counts of what the bounds turned away, by their names in /metrics.
  std::map<std::string, std::uint64_t> Overflows() const;
};

class Server {
 public:
  // `routes` maps an exact path to its handler. GET and HEAD only: an unknown path is 404, another method 405 with
  // `Allow`, a malformed target or head 400, a foreign host 421, a request with a body 413, a target over 8 kB 414, a
  // header too long 431, a handler that throws 500, all with a JSON error `{"error": "..."}`. (libmicrohttpd itself
  // answers what it cannot parse; newer versions also requests without Host.) Bodies of 1 kB and more are gzip'ed when
  // `Accept-Encoding` allows it. Errors name the address: "cannot listen on 127.0.0.1:9105: ...".
  static Result<std::unique_ptr<Server>> Start(Options options, std::map<std::string, Route> routes);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Closes every connection in any phase, as soon as the running handlers have returned.
  ~Server();

  std::uint16_t port() const;       // the port actually bound, of the first address
  bool is_beyond_loopback() const;  // other hosts may reach it
  ServerStatistics statistics() const;

 private:
  class Loop;
  explicit Server(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace conntally::http
