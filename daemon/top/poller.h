// Asks the daemon repeatedly, on its own thread, so that keys never wait; unanswered questions are asked again. Each
// round makes a whole model.
//
// Threads: all public functions on any; a mutex guards what they share with the worker, which does not hold it while
// asking.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "collectors/system/file_descriptor.h"
#include "daemon/command_line/client/ask_daemon.h"
#include "daemon/top/model/model.h"
#include "daemon/top/model/view.h"

namespace conntally::top {

// The part of a view that the daemon needs to know.
struct Question {
  Sort sort = Sort::kConnections;
  std::optional<Prefix> filter;
  std::string opened;  // a source's name; empty: none
  std::size_t sources = 64;
  bool drops = false;    // the recent drops
  std::string drops_of;  // only of this source; empty: of those in `filter`

  friend bool operator==(const Question&, const Question&) = default;
};

// One round of questions on the calling thread; for an unanswered one, `model` keeps the old answer and says so.
void Ask(const DaemonPeer& peer, const Question& question, const std::stop_token& stop, Model& model);

class Poller {
 public:
  Poller(DaemonPeer peer, std::chrono::milliseconds interval);
  ~Poller();

  // A changed question is asked at once.
  void set_question(const Question& question);
  // The last model, if it has not been taken.
  std::optional<Model> TakeModel();
  // Readable while there is one; TakeModel resets it.
  int fd() const { return fresh_.get(); }

 private:
  void Run(const std::stop_token& stop);

  const DaemonPeer peer_;
  const std::chrono::milliseconds interval_;
  FileDescriptor fresh_;  // an eventfd
  std::mutex mutex_;
  std::condition_variable_any woken_;
  Question question_;
  bool changed_ = false;
  std::optional<Model> model_;
  std::jthread thread_;
};

}  // namespace conntally::top
