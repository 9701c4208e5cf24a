// Whether a request may be answered: checks the rate limit, then the password, by the web configuration in force. The
// server's thread only.
#pragma once

#include <optional>
#include <vector>

#include "daemon/http/access/access.h"
#include "daemon/http/access/password_checker.h"
#include "daemon/http/access/rate_limiter.h"
#include "daemon/http/counters.h"
#include "daemon/http/message.h"
#include "daemon/http/server/connections.h"

namespace conntally::http {

class Gate {
 public:
  explicit Gate(Counters& counters) : counters_(counters) {}

  // Sets `connection.pass`; kAsked means to wait, and to call it again once TakeDecided returns the connection.
  // `authorization` is the header's value, or null. A request that may not wait has a body, and is refused anyway; if a
  // password is required, it is refused here.
  enum class MayWait { kYes, kNo };
  void Ask(const Access& access, Connection& connection, const char* authorization, MayWait may_wait,
           Clock::time_point now);
  // The response, if the request may not be answered.
  std::optional<Response> Refusal(const Connection& connection);

  // Readable while TakeDecided has decisions.
  int descriptor() const { return passwords_.descriptor(); }
  std::vector<Connection*> TakeDecided();
  std::vector<Connection*> GiveUp();

 private:
  Counters& counters_;
  RateLimiter rate_limiter_;
  PasswordChecker passwords_;
};

}  // namespace conntally::http
