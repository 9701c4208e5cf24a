// What a handler is asked and what it answers. Plain values; any thread.
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

// Produces the next piece of a long body, empty at its end. Called on the thread of its lane, which packs the pieces
// as they come, so that the whole of it is never in memory. What it throws is answered as 500 and logged.
using BodyStream = std::function<std::string()>;

struct Response {
  int status = 200;  // 200 to 599
  std::string content_type = "text/plain; charset=utf-8";
  std::variant<std::string, BodyStream> body = std::string{};
  // Besides Content-Type, -Length, -Encoding, Vary and those that forbid other sites to use the answer, which the
  // server adds.
  std::multimap<std::string, std::string> headers = {};
};

// Who ask the same at the same time share one call and its answer, so a handler answers from its request alone and does
// nothing but answer. What it throws is answered as 500 and logged.
using Handler = std::function<Response(const Request&)>;

// Where a question is answered. Each lane but the first is one thread, which answers one question after another; no
// lane waits for another, and the server's thread, which moves the bytes, waits for none.
enum class Lane {
  kAtOnce,  // on the server's thread: for what takes no time and no lock
  kScrape,  // the metrics. Parameters are not looked at, so all who ask share
  kShort,   // what people and programs look at
  kLong,    // long lists: few at a time
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
  std::function<Lane(const Request&)> lane_of;  // quick: asked on the server's thread
};

// Refuses parameters, which would change nothing: who gives one expects it to.
Handler WithoutParameters(std::function<Response()> answer);

// `{"error": message}` as application/json: how every refusal of ours looks. Bytes of `message` that are no
// UTF-8 are replaced.
Response ErrorResponse(int status, std::string_view message);

}  // namespace conntally::http
