#include "daemon/http/server/shared_answers.h"

#include <utility>

namespace conntally::http {

std::shared_ptr<const Rendering> SharedAnswers::Recent(const std::string& key, unsigned being_answered,
                                                       Clock::time_point now) const {
  if (being_answered < kMany) return nullptr;
  const auto recent = recent_.find(key);
  return recent != recent_.end() && now - recent->second->began < kSharedFor ? recent->second : nullptr;
}

bool SharedAnswers::Wait(Connection& connection, std::unique_ptr<Question> question) {
  const auto found = waiting_.find(question->key);
  if (found != waiting_.end()) {
    found->second.push_back(&connection);
    return true;
  }
  std::size_t& asked = asked_[static_cast<std::size_t>(question->lane)];
  if (asked == kAskedMax) return false;
  ++asked;
  waiting_.emplace(question->key, std::vector<Connection*>{&connection});
  renderer_.Ask(std::move(question));
  return true;
}

std::vector<Connection*> SharedAnswers::Deliver() {
  std::vector<Connection*> answered;
  for (auto& question : renderer_.TakeAnswered()) {
    const auto waiting = waiting_.find(question->key);
    std::vector<Connection*> late;
    for (Connection* connection : waiting->second) {
      const bool in_time = !question->rendering || connection->since <= question->rendering->began;
      if (in_time || waiting->second.size() >= kMany) {
        connection->rendering = question->rendering;
        answered.push_back(connection);
      } else {
        late.push_back(connection);
      }
    }
    if (question->rendering) recent_.insert_or_assign(question->key, std::move(question->rendering));
    if (late.empty()) {
      waiting_.erase(waiting);
      --asked_[static_cast<std::size_t>(question->lane)];
    } else {
      waiting->second = std::move(late);
      renderer_.Ask(std::move(question));
    }
  }
  return answered;
}

std::vector<Connection*> SharedAnswers::GiveUp() {
  std::vector<Connection*> all;
  for (const auto& [key, connections] : waiting_) {
    for (Connection* connection : connections) all.push_back(connection);
  }
  waiting_.clear();
  return all;
}

void SharedAnswers::Forget(Clock::time_point now) {
  std::erase_if(recent_, [now](const auto& each) { return now - each.second->began >= kSharedFor; });
}

}  // namespace conntally::http
