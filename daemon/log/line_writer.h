// Writes lines to a descriptor that other processes may share and that may block, or entries to another sink that may
// block. Callers put a line into a bounded queue and continue; one thread writes, and may wait without a limit. The
// descriptor's flags stay as they are, since they belong to all who share it.
//
// Any thread. The destructor does not wait: a thread stuck in write(2) ends with the process.
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

  // Sends one entry, and may wait. False if the entry was not taken.
  using Send = std::function<bool(std::string_view)>;

  explicit LineWriter(int descriptor);
  explicit LineWriter(Send send);
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Throws std::system_error if no thread can be started. Without the thread, Push itself writes to the descriptor what
  // it can within kDirectWait.
  void Start();

  // Whole lines, or one entry; in order. False if the queue has no room and they are lost.
  bool Push(std::string lines);

  // Waits until everything is written, or for this time.
  void Drain(std::chrono::milliseconds at_most);

  // How often lines were lost: the queue was full, or a write failed.
  std::uint64_t lost() const;

 private:
  static constexpr std::chrono::milliseconds kDirectWait{100};
  struct Queue;
  std::shared_ptr<Queue> queue_;  // shared with the thread, which may outlive this object
};

}  // namespace conntally
