#include "daemon/http/server/gate.h"

#include "daemon/http/access/password.h"

namespace conntally::http {
namespace {

Pass PassFor(PasswordChecker::Answer answer) {
  switch (answer) {
    case PasswordChecker::Answer::kRight: return Pass::kGranted;
    case PasswordChecker::Answer::kWrong: return Pass::kWrongPassword;
    case PasswordChecker::Answer::kTurnedAway: return Pass::kTurnedAway;
  }
  return Pass::kWrongPassword;
}

Response ComeLater(std::string_view why) {
  constexpr int kTooManyRequests = 429;
  Response response = ErrorResponse(kTooManyRequests, why);
  response.headers.emplace("Retry-After", "1");
  return response;
}

}  // namespace

void Gate::Ask(const Access& access, Connection& connection, const char* authorization, MayWait may_wait,
               Clock::time_point now) {
  if (connection.pass != Pass::kUnasked) return;
  if (!rate_limiter_.Allow(access.config.rate_limit, now)) {
    Count(counters_.over_rate_limit);
    connection.pass = Pass::kOverRateLimit;
    return;
  }
  const Users& users = access.config.users;
  if (users.empty()) {
    connection.pass = Pass::kGranted;
    return;
  }
  connection.pass = Pass::kWrongPassword;
  const auto login = authorization == nullptr ? std::nullopt : ParseBasicAuth(authorization);
  if (!login || may_wait == MayWait::kNo) return;
  const auto answer = passwords_.Check(users, *login, connection.client, &connection);
  connection.pass = answer ? PassFor(*answer) : Pass::kAsked;
}

std::optional<Response> Gate::Refusal(const Connection& connection) {
  switch (connection.pass) {
    case Pass::kUnasked:
    case Pass::kAsked:
    case Pass::kGranted: return std::nullopt;
    case Pass::kOverRateLimit: return ComeLater("more requests than rate_limit allows; ask again");
    case Pass::kTurnedAway: return ComeLater("too many passwords are being checked; ask again");
    case Pass::kWrongPassword: break;
  }
  constexpr int kUnauthorized = 401;
  Response response = ErrorResponse(kUnauthorized, "a user's name and password are needed here");
  response.headers.emplace("WWW-Authenticate", "Basic realm=\"conntally\", charset=\"UTF-8\"");
  return response;
}

std::vector<Connection*> Gate::TakeDecided() {
  std::vector<Connection*> decided;
  for (const auto& [asker, answer] : passwords_.TakeAnswers()) {
    auto* connection = static_cast<Connection*>(asker);
    connection->pass = PassFor(answer);
    if (connection->pass == Pass::kTurnedAway) Count(counters_.passwords_turned_away);
    decided.push_back(connection);
  }
  return decided;
}

std::vector<Connection*> Gate::GiveUp() {
  std::vector<Connection*> all;
  for (void* asker : passwords_.GiveUp()) all.push_back(static_cast<Connection*>(asker));
  return all;
}

}  // namespace conntally::http
