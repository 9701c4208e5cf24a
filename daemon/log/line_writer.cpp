#include "daemon/log/line_writer.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string_view>
#include <utility>

#include "collectors/system/threads/worker_thread.h"

namespace conntally {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kForever{-1};  // poll's notation

bool WaitWritable(int descriptor, std::chrono::milliseconds at_most) {
  pollfd ready{descriptor, POLLOUT, 0};
  return poll(&ready, 1, static_cast<int>(at_most.count())) > 0;
}

// Waits without a limit. Returns what could not be written.
std::string_view WriteLines(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // a process that shares it made it non-blocking
      WaitWritable(descriptor, kForever);
    } else if (errno != EINTR) {
      break;
    }
  }
  return text;
}

// A pipe that poll reports as writable takes PIPE_BUF bytes without waiting.
bool WriteUntil(int descriptor, std::string_view text, Clock::time_point until) {
  while (!text.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0 || !WaitWritable(descriptor, left)) return false;
    const ssize_t written = write(descriptor, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EAGAIN && errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

struct LineWriter::Queue {
  Queue(int to, Send instead) : descriptor(to), send(std::move(instead)) {}

  const int descriptor;
  const Send send;                     // instead of the descriptor, if set
  bool torn = false;                   // the last line was torn; only the thread uses it
  std::atomic<std::uint64_t> lost{0};  // relaxed: independent

  std::mutex mutex;  // guards the members below; not held while writing
  std::condition_variable changed;
  std::deque<std::string> waiting;
  std::size_t bytes = 0;  // of the waiting lines, and of the one being written
  bool started = false;
  bool ended = false;

  bool Lose() {
    lost.fetch_add(1, std::memory_order_relaxed);
    return false;
  }

  // Waits without a limit. False if not everything was written.
  bool WriteOne(const std::string& lines) {
    if (send) return send(lines);
    if (torn) torn = !WriteLines(descriptor, "\n").empty();
    const std::string_view left = WriteLines(descriptor, lines);
    torn = torn || (!left.empty() && left.size() < lines.size());
    return left.empty();
  }

  void Write() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return !waiting.empty() || ended; });
      if (waiting.empty()) return;
      const std::string lines = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      if (!WriteOne(lines)) Lose();
      lock.lock();
      bytes -= lines.size();
      if (waiting.empty()) changed.notify_all();
    }
  }
};

LineWriter::LineWriter(int descriptor) : queue_(std::make_shared<Queue>(descriptor, Send())) {}
LineWriter::LineWriter(Send send) : queue_(std::make_shared<Queue>(-1, std::move(send))) {}

LineWriter::~LineWriter() {
  const std::lock_guard lock(queue_->mutex);
  queue_->ended = true;
  queue_->changed.notify_all();
}

void LineWriter::Start() {
  StartThread("log", [queue = queue_] { queue->Write(); }).detach();
  const std::lock_guard lock(queue_->mutex);
  queue_->started = true;
}

bool LineWriter::Push(std::string lines) {
  Queue& queue = *queue_;
  std::unique_lock lock(queue.mutex);
  if (!queue.started) {
    lock.unlock();
    if (queue.send) return queue.send(lines) || queue.Lose();
    return WriteUntil(queue.descriptor, lines, Clock::now() + kDirectWait) || queue.Lose();
  }
  const std::size_t bytes = lines.size();
  if (queue.bytes + bytes > kQueuedBytesMax) return queue.Lose();
  queue.waiting.push_back(std::move(lines));
  queue.bytes += bytes;
  queue.changed.notify_all();
  return true;
}

void LineWriter::Drain(std::chrono::milliseconds at_most) {
  std::unique_lock lock(queue_->mutex);
  queue_->changed.wait_for(lock, at_most, [&] { return queue_->bytes == 0 || !queue_->started; });
}

std::uint64_t LineWriter::lost() const { return queue_->lost.load(std::memory_order_relaxed); }

}  // namespace conntally
