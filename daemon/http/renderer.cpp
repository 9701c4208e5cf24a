#include "daemon/http/renderer.h"

#include <malloc.h>
#include <sys/eventfd.h>

#include <utility>

#include "collectors/system/threads/worker_thread.h"

namespace conntally::http {

Renderer::~Renderer() {
  stop_.request_stop();
  for (LaneThread& lane : lanes_) {
    if (lane.thread.joinable()) lane.thread.join();
  }
}

void Renderer::Start() {
  answered_event_ = MakeEvent();
  for (LaneThread& lane : lanes_) {
    lane.thread = StartThread("answers", [this, &lane] { Run(stop_.get_token(), lane); });
  }
}

void Renderer::Ask(std::unique_ptr<Question> question) {
  LaneThread& lane = ThreadOf(question->lane);
  {
    const std::lock_guard lock(mutex_);
    lane.asked.push_back(std::move(question));
  }
  lane.woken.notify_one();
}

std::vector<std::unique_ptr<Question>> Renderer::TakeAnswered() {
  eventfd_t count = 0;
  static_cast<void>(eventfd_read(answered_event_.get(), &count));  // fails if nothing was answered
  const std::lock_guard lock(mutex_);
  return std::exchange(answered_, {});
}

void Renderer::GiveMemoryBack() {
  LaneThread& lane = ThreadOf(Lane::kLong);
  {
    const std::lock_guard lock(mutex_);
    lane.memory_to_give_back = true;
  }
  lane.woken.notify_one();
}

void Renderer::Run(const std::stop_token& stop, LaneThread& lane) {
  Encoder encoder(held_bytes_, held_bytes_max_);
  std::unique_lock lock(mutex_);
  for (;;) {
    lane.woken.wait(lock, stop, [&] { return !lane.asked.empty() || lane.memory_to_give_back; });
    if (stop.stop_requested()) return;
    std::unique_ptr<Question> question;
    if (!lane.asked.empty()) {
      question = std::move(lane.asked.front());
      lane.asked.pop_front();
    }
    const bool give_back =
        std::exchange(lane.memory_to_give_back, false) || (question && question->lane == Lane::kLong);
    lock.unlock();
    if (question) {
      Answer(*question, encoder, stop);
      lock.lock();
      answered_.push_back(std::move(question));
      lock.unlock();
      // Cannot fail: the counter is far from its end.
      static_cast<void>(eventfd_write(answered_event_.get(), 1));
    }
    // The data for a long list is large, and not needed until the next one.
    if (give_back) malloc_trim(0);
    lock.lock();
  }
}

void Renderer::Answer(Question& question, Encoder& encoder, const std::stop_token& stop) {
  const auto began = std::chrono::steady_clock::now();
  const auto stopping = [&stop] { return stop.stop_requested(); };
  try {
    question.rendering = encoder.Encode(router_.Call(*question.handler, question.request), began, stopping);
  } catch (...) {
    // If this throws again, the question stays unanswered, which counts as lack of room; if it were lost, its clients
    // would wait for ever.
    static_cast<void>(Caught([&] {
      router_.NoteFailure(question.request.path);
      question.rendering = encoder.Encode(ErrorResponse(500, "internal error"), began, stopping);
    }));
  }
}

}  // namespace conntally::http
