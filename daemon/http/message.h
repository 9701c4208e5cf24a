// What a handler is asked and what it answers. Plain values; any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace conntally::http {

inline constexpr const char* kJsonContentType = "application/json";

struct Request {
  std::string path;                               // decoded, without the query; holds no NUL
  std::multimap<std::string, std::string> query;  // decoded
};

// Produces the next piece of a long body, empty at its end. Called on the server's thread, only once the
// client has taken what came before; each call should be short (a few ms at most) and its piece small (some
// tens of kB), since other clients wait for it. What it throws is logged and cuts the connection.
using BodyStream = std::function<std::string()>;

struct Response {
  int status = 200;  // 200 to 599
  std::string content_type = "text/plain; charset=utf-8";
  std::variant<std::string, BodyStream> body = std::string{};
  // Besides Content-Type, -Length, -Encoding, Vary and X-Content-Type-Options, which the server adds.
  std::multimap<std::string, std::string> headers = {};
};

// Identical GETs (and HEADs) that are there at the same time share one call and its text, so a handler
// answers from its request alone and does nothing but answer. What it throws is answered as 500 and logged.
using Handler = std::function<Response(const Request&)>;

// `{"error": message}` as application/json: how every refusal of ours looks. Bytes of `message` that are no
// UTF-8 are replaced.
Response ErrorResponse(int status, std::string_view message);

}  // namespace conntally::http
