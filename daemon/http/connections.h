// The open connections, and how long each of them may stay. A connection is asking (its request is not whole
// yet), answering, idle (kept alive, nothing asked), or closing (we shut it down and libmicrohttpd has yet to
// notice). Whoever drips bytes gains no time: deadlines count from the start of a phase.
//
// The server's thread only; the counters are atomics for others to read. Sees no HTTP, and time is a
// parameter.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "daemon/http/reply_body.h"

namespace conntally::http {

using Clock = std::chrono::steady_clock;

// Written by the server's thread, read by any; each is a figure of its own, so all accesses are relaxed.
struct Counters {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> connections_turned_away{0};
  std::atomic<std::uint64_t> responses_turned_away{0};
  std::atomic<std::uint64_t> deadlines_missed{0};
  std::atomic<std::uint64_t> handler_failures{0};
  std::atomic<unsigned> connections{0};
};

inline void Count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

struct Connection {
  using List = std::list<Connection>;

  int descriptor = -1;             // libmicrohttpd's
  Clock::time_point since{};       // when the phase began
  Clock::time_point progressed{};  // answering: when the client last made room for more, less what is excused
  std::uint64_t received_bytes = 0;  // idle: what had come by then; more means that it asks again
  bool request_seen = false;         // answering: the handler was told once already
  std::string target;                // of the request being read or answered, as the client wrote it
  std::shared_ptr<ReplyBody> body;   // answering
  List* phase = nullptr;             // the list it is in
  List::iterator self;
};

class Connections {
 public:
  struct Limits {
    unsigned connections_soft = 0;  // beyond it somebody is asked to leave
    std::chrono::milliseconds header_deadline{};
    std::chrono::milliseconds response_deadline{};
    std::chrono::milliseconds idle_deadline{};
    std::size_t held_bytes_max = 0;
  };
  // A client that took something this recently is reading, not stalling, and is not evicted for room.
  static constexpr std::chrono::milliseconds kStalledAfter{250};

  Connections(const Limits& limits, Counters& counters) : limits_(limits), counters_(counters) {}

  // Takes note of an accepted connection; may evict another one for it. The reference holds until Remove.
  Connection& Add(int descriptor, Clock::time_point now);
  void Remove(Connection& connection);

  void StartAnswer(Connection& connection, Clock::time_point now);
  void NoteProgress(Connection& connection, Clock::time_point now);
  void FinishAnswer(Connection& connection, Clock::time_point now);

  // Closes the connection that is missed least, for want of descriptors; false when all are needed.
  bool EvictOne(Clock::time_point now) { return EvictOneBut(nullptr, now); }
  // Whether the bodies held now leave room, if need be after evicting clients that do not take theirs.
  bool MakeRoomForBody(Clock::time_point now);
  // Time we were at work ourselves, when clients could make no progress: does not count as theirs stalling.
  void Excuse(Clock::duration busy) { excused_ += busy; }
  // Shuts down whoever missed a deadline, or stalls where room is short, by `now`, which is before the bytes
  // waiting were last read: who wrote in time but was not looked at is not late.
  void EnforceDeadlines(Clock::time_point now);

  std::size_t size() const { return asking_.size() + idle_.size() + answering_.size() + closing_.size(); }
  // For the bodies to sum up their memory in.
  std::size_t& held_bytes() { return held_bytes_; }

 private:
  void Enter(Connection& connection, Connection::List& phase, Clock::time_point now);
  void Shut(Connection& connection);
  bool EvictOneBut(const Connection* newcomer, Clock::time_point now);
  bool EvictStalled(Clock::time_point now);
  void NoticeAsking(Clock::time_point now);
  void CutOverdue(Connection::List& phase, std::chrono::milliseconds deadline, Clock::time_point now);

  const Limits limits_;
  Counters& counters_;
  std::size_t held_bytes_ = 0;
  Clock::duration excused_{};
  // Each in the order of `since`, the oldest first; but answering_ in that of `progressed`.
  Connection::List asking_, idle_, answering_, closing_;
};

}  // namespace conntally::http
