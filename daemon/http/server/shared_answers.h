// Who waits for which answer, and which answers may be shared. The server's thread only.
//
// Who asks what somebody is waiting for already waits with him, and gets the same rendering if it begins after he
// asked: hundreds of clients cost one. Those who came while it was under way share the next. Where kMany wait or are
// being answered in a lane, newcomers share what is under way, and what was rendered in the last kSharedFor.
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
  // Different questions that wait in a lane. With it the lane's thread has work for some seconds.
  static constexpr std::size_t kAskedMax = 128;

  explicit SharedAnswers(Renderer& renderer) : renderer_(renderer) {}

  // What may be answered at once; null: nothing.
  std::shared_ptr<const Rendering> Recent(const std::string& key, unsigned being_answered, Clock::time_point now) const;

  // Whether `connection` now waits for the answer; false: too many other questions are waiting.
  bool Wait(Connection& connection, std::unique_ptr<Question> question);

  // Hands the renderings that are done to the connections that wait for them, and returns those. null: there was no
  // memory for it.
  std::vector<Connection*> Deliver();
  // All that wait, for nothing any more: at the end.
  std::vector<Connection*> GiveUp();

  // Forgets what is no longer to be shared; all of it when memory is short.
  void Forget(Clock::time_point now);
  void ForgetAll() { recent_.clear(); }

 private:
  Renderer& renderer_;
  std::map<std::string, std::vector<Connection*>> waiting_;  // by the question's key
  std::array<std::size_t, kLanes> asked_{};                  // questions of waiting_, by Lane
  std::map<std::string, std::shared_ptr<const Rendering>> recent_;
};

}  // namespace conntally::http
