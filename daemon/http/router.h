// From a request's first line to who answers it: finds the route, and answers itself for all that has none. Sees no
// sockets. Any thread.
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
  // A refusal, or who is to be asked.
  std::variant<Response, Found> Find(std::string_view method, std::string_view target, bool has_body) const;
  // Never throws: what a handler throws is logged and becomes a 500.
  Response Call(const Handler& handler, const Request& request);
  // To be told what a handler or a stream threw, inside a catch block.
  void NoteFailure(std::string_view where);

 private:
  const std::map<std::string, Route> routes_;
  Counters& counters_;
};

}  // namespace conntally::http
