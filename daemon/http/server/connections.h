// The open connections, how long each of them may stay, and who leaves when there is no room. A connection is asking
// (its request is not whole yet), waiting (for its answer to be rendered), answering (its client takes it), idle (kept
// alive, nothing asked), or closing (we shut it down and libmicrohttpd has yet to notice). Whoever drips bytes gains no
// time: deadlines count from the start of a phase, and whoever takes no more of his answer is cut before that.
//
// Who leaves for somebody else: the one that has been idle the longest; else the oldest that has not asked for anything
// in kPatience; else a slow reader, the one first who took something the longest ago. Who waits for us never leaves.
//
// The server's thread only. Sees no HTTP, and time is a parameter.
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

  int descriptor = -1;                         // libmicrohttpd's
  MHD_Connection* handle = nullptr;            // likewise
  bool by_loopback = false;                    // its client asked a loopback address
  std::string client;                          // its client's address; of IPv6 the network
  std::shared_ptr<const Access> access;        // in force when it came: its TLS session is built on it
  Pass pass = Pass::kUnasked;                  // of the request being read or answered
  Clock::time_point since{};                   // when the phase began
  Clock::time_point progressed{};              // answering: when the client last made room for more
  std::uint64_t received_bytes = 0;            // idle: what had come by then; more means that it asks again
  bool request_seen = false;                   // waiting, answering: the handler was told once already
  std::string target;                          // of the request being read or answered, as the client wrote it
  std::optional<Lane> lane;                    // waiting, answering: admitted to
  std::shared_ptr<const Rendering> rendering;  // waiting: what to answer, once it is there
  std::shared_ptr<ReplyBody> body;             // answering
  List* phase = nullptr;                       // the list it is in
  List::iterator self;
};

class Connections {
 public:
  struct Limits {
    unsigned connections_soft = 0;            // beyond it somebody is asked to leave
    std::array<unsigned, kLanes> lane_max{};  // waiting and answering, by Lane
    std::chrono::milliseconds header_deadline{};
    std::chrono::milliseconds response_deadline{};
    std::chrono::milliseconds progress_deadline{};
    std::chrono::milliseconds idle_deadline{};
    std::size_t held_bytes_max = 0;
  };
  // A client that took or sent something this recently is not evicted for room, nor one that had no turn in the
  // meantime.
  static constexpr std::chrono::milliseconds kPatience{250};
  // But where room is short, nobody reads for longer than this.
  static constexpr std::chrono::milliseconds kReadingMax{2000};

  // `held_bytes` is what all renderings hold.
  Connections(const Limits& limits, const std::atomic<std::size_t>& held_bytes, Counters& counters)
      : limits_(limits), held_bytes_(held_bytes), counters_(counters) {}

  // Takes note of an accepted connection; may evict another one for it. The reference holds until Remove.
  Connection& Add(int descriptor, Clock::time_point now);
  void Remove(Connection& connection);

  // The request is whole.
  void StartWait(Connection& connection, Clock::time_point now);
  // A place among those whom the lane answers; false: there is none, even after evicting a slow reader of the lane.
  bool Admit(Connection& connection, Lane lane, Clock::time_point now);
  void StartAnswer(Connection& connection, Clock::time_point now);
  void NoteProgress(Connection& connection, Clock::time_point now);
  void FinishAnswer(Connection& connection, Clock::time_point now);

  // Closes the connection that is missed least, for want of descriptors; false when all are needed.
  bool EvictOne(Clock::time_point now) { return EvictOneBut(nullptr, now); }
  bool short_of_memory() const { return held_bytes_.load(std::memory_order_relaxed) > limits_.held_bytes_max; }
  // Whether the renderings held now leave room, if need be after evicting slow readers.
  bool MakeRoomForBody(Clock::time_point now);
  // How long serving everybody took last time: nobody has a turn more often.
  void NoteRound(Clock::duration took) { patience_ = std::max<Clock::duration>(kPatience, 4 * took); }
  // Shuts down whoever missed a deadline, or is slow where room is short, by `now`, which is before the bytes
  // waiting were last read: who wrote in time but was not looked at is not late.
  void EnforceDeadlines(Clock::time_point now);

  std::size_t size() const { return open() + closing_.size(); }
  // Whether kept-alive connections take room that others need.
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
  // Each in the order of `since`, the oldest first; but answering_ in that of `progressed`.
  Connection::List asking_, waiting_, idle_, answering_, closing_;
};

}  // namespace conntally::http
