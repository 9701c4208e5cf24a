#include "daemon/http/message.h"

#include <nlohmann/json.hpp>

namespace conntally::http {

Handler WithoutParameters(std::function<Response()> answer) {
  return [answer = std::move(answer)](const Request& request) {
    if (request.query.empty()) return answer();
    return ErrorResponse(400, "no parameter '" + request.query.begin()->first + "'; there is none here");
  };
}

Response ErrorResponse(int status, std::string_view message) {
  const nlohmann::json body{{"error", message}};
  Response response;
  response.status = status;
  response.content_type = kJsonContentType;
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return response;
}

}  // namespace conntally::http
