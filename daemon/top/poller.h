// Asks the daemon again and again, on a thread of its own, so that keys are never waited for: what is not answered is
// asked for again. Each round makes a whole model.
//
// Threads: all public functions on any; a mutex keeps them and the worker apart, and no asking is done under it.
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

// What is asked for: as much of a view as the daemon has to know.
struct Question {
  Sort sort = Sort::kConnections;
  std::optional<Prefix> filter;
  std::string opened;  // a source's name; empty: none
  std::size_t sources = 64;
  bool drops = false;    // what was dropped of late
  std::string drops_of;  // of this source alone; empty: of those that `filter` has

  friend bool operator==(const Question&, const Question&) = default;
};

// One round of questions on the calling thread; `model` keeps what is not answered, and says so.
void Ask(const DaemonPeer& peer, const Question& question, const std::stop_token& stop, Model& model);

class Poller {
 public:
  Poller(DaemonPeer peer, std::chrono::milliseconds interval);
  ~Poller();

  // A question that differs is asked at once.
  void set_question(const Question& question);
  // The last model, when there is one that has not been taken.
  std::optional<Model> TakeModel();
  // Readable when there is one; TakeModel makes it not so.
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
