// Which connections wait for which answer, and which answers may be shared. The server's thread only.
//
// A request equal to one that already waits joins it, and gets the same rendering if that begins after the request:
// hundreds of clients cost one rendering. Requests that come while it is being made share the next one. If kMany wait
// or are being answered in a lane, new requests share the rendering in progress, and those of the last kSharedFor.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/http/renderer.h"
#include "daemon/http/server/connections.h"

namespace conntally::http {

class SharedAnswers {
 public:
  static constexpr std::chrono::milliseconds kSharedFor{1000};
  static constexpr unsigned kMany = 8;
  // Different questions that may wait in a lane; some seconds of work for its thread.
  static constexpr std::size_t kAskedMax = 128;

  explicit SharedAnswers(Renderer& renderer) : renderer_(renderer) {}

  // A recent answer that may be shared; null: none.
  std::shared_ptr<const Rendering> Recent(const std::string& key, unsigned being_answered, Clock::time_point now) const;

  // Whether `connection` now waits for the answer; false: too many other questions are waiting.
  bool Wait(Connection& connection, std::unique_ptr<Question> question);

  // Assigns finished renderings to the connections that wait for them, and returns these connections. A null rendering:
  // memory was short.
  std::vector<Connection*> Deliver();
  // Returns all that wait, unanswered; for shutdown.
  std::vector<Connection*> GiveUp();

  // Forgets answers that may no longer be shared; all of them when memory is short.
  void Forget(Clock::time_point now);
  void ForgetAll() { recent_.clear(); }

 private:
  Renderer& renderer_;
  std::map<std::string, std::vector<Connection*>> waiting_;  // by the question's key
  std::array<std::size_t, kLanes> asked_{};                  // questions of waiting_, by Lane
  std::map<std::string, std::shared_ptr<const Rendering>> recent_;
};

}  // namespace conntally::http
