// From a request's first line to a response: finds the handler and answers for all that has none.
// The server's thread only. Sees no sockets.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "daemon/http/connections.h"
#include "daemon/http/message.h"

namespace conntally::http {

class Router {
 public:
  Router(std::map<std::string, Handler> routes, Counters& counters)
      : routes_(std::move(routes)), counters_(counters) {}

  // Never throws: what a handler throws is logged and becomes a 500.
  Response Answer(std::string_view method, std::string_view target, bool has_body);
  // To be told what a handler or a stream threw, inside a catch block.
  void NoteFailure(std::string_view where);

 private:
  Response Call(const Handler& handler, const Request& request);

  const std::map<std::string, Handler> routes_;
  Counters& counters_;
};

}  // namespace conntally::http
