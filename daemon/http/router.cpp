#include "daemon/http/router.h"

#include <spdlog/spdlog.h>

#include <exception>

#include "daemon/http/target.h"

namespace conntally::http {

std::variant<Response, Router::Found> Router::Find(std::string_view method, std::string_view target,
                                                   bool has_body) const {
  if (target.size() > kTargetBytesMax) return ErrorResponse(414, "the request target is too long");
  auto request = ParseTarget(target);
  if (!request) return ErrorResponse(400, request.error().message);
  const auto route = routes_.find(request->path);
  if (route == routes_.end()) {
    std::string paths;
    for (const auto& [path, unused] : routes_) paths += (paths.empty() ? "" : ", ") + path;
    return ErrorResponse(404, "no such path; there are " + paths);
  }
  if (method != "GET" && method != "HEAD") {
    Response refused = ErrorResponse(405, "only GET and HEAD are answered here");
    refused.headers.emplace("Allow", "GET, HEAD");
    return refused;
  }
  if (has_body) return ErrorResponse(413, "a request takes no body here");
  return Found{&route->second, std::move(*request)};
}

Response Router::Call(const Handler& handler, const Request& request) {
  try {
    Response response = handler(request);
    if (response.status >= 200 && response.status <= 599) return response;
    throw std::logic_error("a status of " + std::to_string(response.status));
  } catch (...) {
    NoteFailure(request.path);
  }
  return ErrorResponse(500, "internal error");
}

void Router::NoteFailure(std::string_view where) {
  Count(counters_.handler_failures);
  std::string what = "an exception of unknown type";
  try {
    throw;
  } catch (const std::exception& exception) {
    what = exception.what();
  } catch (...) {
  }
  spdlog::error("answering {} failed: {}", where, what);
}

}  // namespace conntally::http
