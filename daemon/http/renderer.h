// The threads that render answers: one for each lane except kAtOnce, so that a scrape waits neither for a long list nor
// for the server's thread to move bytes. Each takes its questions in order.
//
// Start and the destructor: the owner's thread. All others: the server's thread. A question belongs to the lane from
// Ask until TakeAnswered returns it; a mutex guards the transfer.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "collectors/system/file_descriptor.h"
#include "daemon/http/message.h"
#include "daemon/http/rendering.h"
#include "daemon/http/router.h"

namespace conntally::http {

struct Question {
  std::string key;  // equal for equal questions
  Lane lane = Lane::kShort;
  const Handler* handler = nullptr;
  Request request;
  std::shared_ptr<const Rendering> rendering;  // once answered; null: memory was short
};

class Renderer {
 public:
  // All must outlive the renderer. For `held_bytes` and its bound see Encoder.
  Renderer(Router& router, std::atomic<std::size_t>& held_bytes, std::size_t held_bytes_max)
      : router_(router), held_bytes_(held_bytes), held_bytes_max_(held_bytes_max) {}
  // Returns as soon as the running handlers have returned.
  ~Renderer();

  // Throws std::system_error if a thread or an event cannot be created.
  void Start();
  // Readable while there are answered questions to take.
  int descriptor() const { return answered_event_.get(); }

  // Not for kAtOnce, which the server's own thread answers.
  void Ask(std::unique_ptr<Question> question);
  std::vector<std::unique_ptr<Question>> TakeAnswered();
  // Returns free memory to the kernel, on one of the threads, since that takes milliseconds.
  void GiveMemoryBack();

 private:
  static constexpr std::size_t kThreads = kLanes - 1;
  struct LaneThread {
    std::condition_variable_any woken;
    std::deque<std::unique_ptr<Question>> asked;
    bool memory_to_give_back = false;
    std::thread thread;
  };

  LaneThread& ThreadOf(Lane lane) { return lanes_[static_cast<std::size_t>(lane) - 1]; }
  void Run(const std::stop_token& stop, LaneThread& lane);
  void Answer(Question& question, Encoder& encoder, const std::stop_token& stop);

  Router& router_;
  std::atomic<std::size_t>& held_bytes_;
  const std::size_t held_bytes_max_;
  FileDescriptor answered_event_;
  std::stop_source stop_;
  std::mutex mutex_;  // guards the members below
  std::vector<std::unique_ptr<Question>> answered_;
  std::array<LaneThread, kThreads> lanes_;
};

}  // namespace conntally::http
