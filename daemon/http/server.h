// The one HTTP port. libmicrohttpd does the protocol on its own epoll instance; one thread of ours drives it, so handlers
// run one after another on that thread and may block it no longer than a scrape may wait.
//
// Hostile clients: a request's header must be whole within an absolute deadline, however its bytes drip;
// a response must be taken within another; past a number of connections the oldest one that has not yet
// asked for anything is closed, so that a scrape always finds room.
//
// Start, Stop and the destructor: the thread that owns the server. Handlers: the server's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "collectors/netlink/result.h"

namespace conntally::http {

struct Request {
  std::string path;                          // decoded, without the query
  std::multimap<std::string, std::string> query;  // decoded
};

// Produces the next piece of a long body, empty at its end. Called on the server's thread; each call should be
// short (a few ms at most), since other clients wait for it.
using BodyStream = std::function<std::string()>;

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::variant<std::string, BodyStream> body = std::string{};
  std::multimap<std::string, std::string> headers;  // besides Content-Type, -Length and -Encoding
};

// What a handler throws is answered as 500 and logged.
using Handler = std::function<Response(const Request&)>;

struct Options {
  std::string listen_address = "127.0.0.1:9105";  // HOST:PORT, [V6]:PORT; port 0 picks a free one
  unsigned connections_max = 1024;
  std::chrono::milliseconds header_deadline = std::chrono::seconds(10);    // from accept (or the last response) to a whole header
  std::chrono::milliseconds response_deadline = std::chrono::seconds(30);  // from request to the last byte taken
  std::size_t header_bytes_max = 16 * 1024;
};

// What the server did, for /metrics. Read on any thread.
struct ServerStatistics {
  std::uint64_t requests = 0;
  std::uint64_t connections_turned_away = 0;  // closed for want of room
  std::uint64_t deadlines_missed = 0;         // header or response not done in time
  unsigned connections = 0;                   // open now
};

class Server {
 public:
  // `routes` maps an exact path to its handler. GET and HEAD only: an unknown path is 404, another method 405
  // with `Allow`, both with a JSON error `{"error": "..."}`; so is 400 for what libmicrohttpd lets us see of a bad request.
  // Bodies of 1 kB and more are gzip'ed when `Accept-Encoding` allows it (strings only; streams go as they are).
  static Result<std::unique_ptr<Server>> Start(Options options, std::map<std::string, Handler> routes);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  std::uint16_t port() const;  // the one really bound
  ServerStatistics statistics() const;

 private:
  class Loop;
  explicit Server(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace conntally::http
