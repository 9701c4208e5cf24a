// Whether a request may be answered: the rate limit, then the password, as the web configuration in force wants them.
// The server's thread only.
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

  // Asked again once its connection came back by TakeDecided; what it says is in `connection.pass`: kAsked means to
  // wait. `authorization` is the header's value, or null. Who may not wait is refused where a password is wanted: his
  // request has a body, which gets no answer but a refusal anyway.
  enum class MayWait { kYes, kNo };
  void Ask(const Access& access, Connection& connection, const char* authorization, MayWait may_wait,
           Clock::time_point now);
  // What to answer where it says no.
  std::optional<Response> Refusal(const Connection& connection);

  // Readable while there are decisions to take.
  int descriptor() const { return passwords_.descriptor(); }
  std::vector<Connection*> TakeDecided();
  std::vector<Connection*> GiveUp();

 private:
  Counters& counters_;
  RateLimiter rate_limiter_;
  PasswordChecker passwords_;
};

}  // namespace conntally::http
