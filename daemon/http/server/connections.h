// The open connections, how long each may stay, and which is closed when there is no room. A connection is asking (its
// request is incomplete), waiting (its answer is being rendered), answering (its client reads the answer), idle (kept
// alive, no request), or closing (we shut it down, and libmicrohttpd has not noticed yet). Sending byte by byte gains
// no time: deadlines count from the start of a phase, and a client that stops reading is cut before that.
//
// To make room, it closes the connection that has been idle longest; else the oldest that has sent no request within
// kPatience; else the slow reader that last read something longest ago. It never closes a connection that waits for us.
//
// The server's thread only. Knows no HTTP; time is a parameter.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "daemon/http/access/access.h"
#include "daemon/http/counters.h"
#include "daemon/http/encoding/reply_body.h"
#include "daemon/http/message.h"
#include "daemon/http/rendering.h"

struct MHD_Connection;

namespace conntally::http {

using Clock = std::chrono::steady_clock;

// Whether a request may be answered.
enum class Pass { kUnasked, kAsked, kGranted, kWrongPassword, kTurnedAway, kOverRateLimit };

struct Connection {
  using List = std::list<Connection>;

  int descriptor = -1;                         // owned by libmicrohttpd
  MHD_Connection* handle = nullptr;            // owned by libmicrohttpd
  bool by_loopback = false;                    // its client connected to a loopback address
  std::string client;                          // its client's address; for IPv6 the network
  std::shared_ptr<const Access> access;        // in force when it was accepted: its TLS session uses it
  Pass pass = Pass::kUnasked;                  // of the request being read or answered
  Clock::time_point since{};                   // when the phase began
  Clock::time_point progressed{};              // answering: when the client last read something
  std::uint64_t received_bytes = 0;            // idle: bytes received by then; more bytes are a new request
  bool request_seen = false;                   // waiting, answering: the handler was called before
  std::string target;                          // of the request being read or answered, as the client wrote it
  std::optional<Lane> lane;                    // waiting, answering: admitted to
  std::shared_ptr<const Rendering> rendering;  // waiting: the answer, once it is ready
  std::shared_ptr<ReplyBody> body;             // answering
  List* phase = nullptr;                       // the list it is in
  List::iterator self;
};

class Connections {
 public:
  struct Limits {
    unsigned connections_soft = 0;            // beyond it one is closed for each new one
    std::array<unsigned, kLanes> lane_max{};  // waiting and answering, by Lane
    std::chrono::milliseconds header_deadline{};
    std::chrono::milliseconds response_deadline{};
    std::chrono::milliseconds progress_deadline{};
    std::chrono::milliseconds idle_deadline{};
    std::size_t held_bytes_max = 0;
  };
  // A client that read or sent something within this time is not evicted for room, nor is one that was not served in
  // that time.
  static constexpr std::chrono::milliseconds kPatience{250};
  // But when room is short, no client may read for longer than this.
  static constexpr std::chrono::milliseconds kReadingMax{2000};

  // `held_bytes` is the memory of all renderings.
  Connections(const Limits& limits, const std::atomic<std::size_t>& held_bytes, Counters& counters)
      : limits_(limits), held_bytes_(held_bytes), counters_(counters) {}

  // Registers an accepted connection; may evict another one for it. The reference is valid until Remove.
  Connection& Add(int descriptor, Clock::time_point now);
  void Remove(Connection& connection);

  // Its request is complete.
  void StartWait(Connection& connection, Clock::time_point now);
  // Takes one of the lane's places; false: none is free, even after evicting a slow reader of the lane.
  bool Admit(Connection& connection, Lane lane, Clock::time_point now);
  void StartAnswer(Connection& connection, Clock::time_point now);
  void NoteProgress(Connection& connection, Clock::time_point now);
  void FinishAnswer(Connection& connection, Clock::time_point now);

  // Closes the least needed connection, when descriptors run out; false if all are needed.
  bool EvictOne(Clock::time_point now) { return EvictOneBut(nullptr, now); }
  bool short_of_memory() const { return held_bytes_.load(std::memory_order_relaxed) > limits_.held_bytes_max; }
  // Whether the renderings leave room, if necessary after evicting slow readers.
  bool MakeRoomForBody(Clock::time_point now);
  // How long the last round over all connections took: each is served at most once per round.
  void NoteRound(Clock::duration took) { patience_ = std::max<Clock::duration>(kPatience, 4 * took); }
  // Shuts down connections that missed a deadline by `now`, and slow ones when room is short. `now` must be a time
  // before the pending bytes were last read, so that a client that wrote in time, but was not served yet, is not late.
  void EnforceDeadlines(Clock::time_point now);

  std::size_t size() const { return open() + closing_.size(); }
  // Whether kept-alive connections take room that others may need.
  bool crowded() const { return open() > limits_.connections_soft; }
  unsigned admitted(Lane lane) const { return admitted_[static_cast<std::size_t>(lane)]; }

 private:
  std::size_t open() const { return asking_.size() + waiting_.size() + idle_.size() + answering_.size(); }
  void Enter(Connection& connection, Connection::List& phase, Clock::time_point now);
  void LeaveLane(Connection& connection);
  void Shut(Connection& connection);
  bool EvictOneBut(const Connection* newcomer, Clock::time_point now);
  bool EvictIdle();
  bool EvictSlow(std::optional<Lane> of, Clock::time_point now);
  void NoticeAsking(Clock::time_point now);
  void CutOverdue(Connection::List& phase, std::chrono::milliseconds deadline, Clock::time_point now);

  const Limits limits_;
  const std::atomic<std::size_t>& held_bytes_;
  Counters& counters_;
  Clock::duration patience_ = kPatience;
  std::array<unsigned, kLanes> admitted_{};
  // Each ordered by `since`, the oldest first; answering_ by `progressed`.
  Connection::List asking_, waiting_, idle_, answering_, closing_;
};

}  // namespace conntally::http
