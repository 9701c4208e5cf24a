// A handler's request and response. Plain values; any thread.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace conntally::http {

inline constexpr const char* kJsonContentType = "application/json";

struct Request {
  std::string path;                               // decoded, without the query; holds no NUL
  std::multimap<std::string, std::string> query;  // decoded
};

// Produces the next piece of a long body, empty at its end. Called on the lane's thread, which compresses each piece at
// once, so that the whole body is never in memory. An exception becomes a 500 and is logged.
using BodyStream = std::function<std::string()>;

struct Response {
  int status = 200;  // 200 to 599
  std::string content_type = "text/plain; charset=utf-8";
  std::variant<std::string, BodyStream> body = std::string{};
  // In addition to those that the server adds: Content-Type, -Length, -Encoding, Vary, and the headers that forbid
  // other sites to use the answer.
  std::multimap<std::string, std::string> headers = {};
};

// Equal requests at the same time share one call and its answer. So a handler must depend only on its request, and have
// no side effects. An exception becomes a 500 and is logged.
using Handler = std::function<Response(const Request&)>;

// Where a request is answered. Each lane except the first has one thread, which answers one request after another. No
// lane waits for another, and the server's thread, which moves the bytes, waits for none.
enum class Lane {
  kAtOnce,  // on the server's thread: for answers that take no time and no lock
  kScrape,  // the metrics. Parameters are ignored, so all clients share
  kShort,   // for what people and programs look at
  kLong,    // long lists, few at a time
};
inline constexpr std::size_t kLanes = 4;

struct Route {
  template <typename Answer>
  requires std::constructible_from<Handler, Answer> Route(Answer handler, Lane lane = Lane::kShort)
      : answer(std::move(handler)), lane_of([lane](const Request&) { return lane; }) {}
  template <typename Answer, typename LaneOf>
  requires std::constructible_from<Handler, Answer> && std::is_invocable_r_v<Lane, LaneOf, const Request&> Route(
      Answer handler, LaneOf its_lane)
      : answer(std::move(handler)), lane_of(std::move(its_lane)) {}

  Handler answer;
  std::function<Lane(const Request&)> lane_of;  // must be quick: called on the server's thread
};

// Refuses parameters: they would have no effect, and a client that sends one expects an effect.
Handler WithoutParameters(std::function<Response()> answer);

// `{"error": message}` as application/json: the form of every refusal. Bytes of `message` that are not UTF-8 are
// replaced.
Response ErrorResponse(int status, std::string_view message);

}  // namespace conntally::http
