// Finds the route of a request by its first line, and itself answers requests without one. Uses no sockets. Any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "daemon/http/counters.h"
#include "daemon/http/message.h"

namespace conntally::http {

class Router {
 public:
  Router(std::map<std::string, Route> routes, Counters& counters) : routes_(std::move(routes)), counters_(counters) {}

  struct Found {
    const Route* route;
    Request request;
  };
  // A refusal, or the handler to call.
  std::variant<Response, Found> Find(std::string_view method, std::string_view target, bool has_body) const;
  // Never throws: a handler's exception is logged and becomes a 500.
  Response Call(const Handler& handler, const Request& request);
  // Call it in a catch block, for an exception of a handler or a stream.
  void NoteFailure(std::string_view where);

 private:
  const std::map<std::string, Route> routes_;
  Counters& counters_;
};

}  // namespace conntally::http
