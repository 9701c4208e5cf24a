// Writes lines to a descriptor that others may share and nobody may read, or entries to another place that may make it
// wait: whoever has one leaves it in a bounded queue and goes on, and one thread writes, which may wait for as long as
// the reader likes. The descriptor's flags stay as they are: they are of all who share it.
//
// Any thread. The destructor waits for nobody: a thread that is stuck in write(2) goes with the process.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace conntally {

class LineWriter {
 public:
  static constexpr std::size_t kQueuedBytesMax = std::size_t{1} << 20;

  // Takes one entry, and may wait. False when it was not taken.
  using Send = std::function<bool(std::string_view)>;

  explicit LineWriter(int descriptor);
  explicit LineWriter(Send send);
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Throws std::system_error when no thread can be started. Before it, and without it, Push writes by itself: to a
  // descriptor what can be written within kDirectWait.
  void Start();

  // Whole lines, or one entry; in order. False when the queue has no room, and they are lost.
  bool Push(std::string lines);

  // Waits until all is written, or as long as this.
  void Drain(std::chrono::milliseconds at_most);

  // Times that lines were lost: the queue was full, or they could not be written.
  std::uint64_t lost() const;

 private:
  static constexpr std::chrono::milliseconds kDirectWait{100};
  struct Queue;
  std::shared_ptr<Queue> queue_;  // the thread's, too, which may outlive this
};

}  // namespace conntally
