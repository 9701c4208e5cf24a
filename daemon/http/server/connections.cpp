#include "daemon/http/server/connections.h"

// Not netinet/tcp.h, whose tcp_info ends before tcpi_bytes_received.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace conntally::http {
namespace {

// The bytes received from the client, by the kernel's count, since libmicrohttpd does not report incomplete requests. 0
// if unknown.
std::uint64_t ReceivedBytes(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_received;
}

}  // namespace

Connection& Connections::Add(int descriptor, Clock::time_point now) {
  asking_.emplace_back();
  Connection& connection = asking_.back();
  connection.descriptor = descriptor;
  connection.since = now;
  connection.phase = &asking_;
  connection.self = std::prev(asking_.end());
  while (crowded() && EvictOneBut(&connection, now)) {
  }
  counters_.connections.store(static_cast<unsigned>(size()), std::memory_order_relaxed);
  return connection;
}

void Connections::Remove(Connection& connection) {
  LeaveLane(connection);
  connection.phase->erase(connection.self);
  counters_.connections.store(static_cast<unsigned>(size()), std::memory_order_relaxed);
}

void Connections::Enter(Connection& connection, Connection::List& phase, Clock::time_point now) {
  phase.splice(phase.end(), *connection.phase, connection.self);
  connection.phase = &phase;
  connection.since = now;
}

void Connections::StartWait(Connection& connection, Clock::time_point now) {
  if (connection.phase != &closing_) Enter(connection, waiting_, now);
}

bool Connections::Admit(Connection& connection, Lane lane, Clock::time_point now) {
  unsigned& admitted = admitted_[static_cast<std::size_t>(lane)];
  const unsigned most = limits_.lane_max[static_cast<std::size_t>(lane)];
  if (admitted >= most && !EvictSlow(lane, now)) return false;
  connection.lane = lane;
  ++admitted;
  return true;
}

void Connections::LeaveLane(Connection& connection) {
  if (connection.lane) --admitted_[static_cast<std::size_t>(*connection.lane)];
  connection.lane.reset();
}

void Connections::StartAnswer(Connection& connection, Clock::time_point now) {
  if (connection.phase == &closing_) return;
  Enter(connection, answering_, now);
  connection.progressed = now;
}

void Connections::NoteProgress(Connection& connection, Clock::time_point now) {
  if (connection.phase != &answering_) return;
  answering_.splice(answering_.end(), answering_, connection.self);
  connection.progressed = now;
}

void Connections::FinishAnswer(Connection& connection, Clock::time_point now) {
  LeaveLane(connection);
  connection.body.reset();
  connection.rendering.reset();
  connection.request_seen = false;
  connection.pass = Pass::kUnasked;
  if (connection.phase == &closing_) return;
  Enter(connection, idle_, now);
  connection.received_bytes = ReceivedBytes(connection.descriptor);
}

void Connections::Shut(Connection& connection) {
  if (connection.phase == &answering_) {
    // Unsent bytes must not stay in the kernel either, so closing sends a reset.
    const linger at_once{1, 0};
    setsockopt(connection.descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  }
  // libmicrohttpd notices the shutdown and closes the socket; closing it here could reuse the descriptor while
  // libmicrohttpd has it.
  shutdown(connection.descriptor, SHUT_RDWR);
  if (connection.body) connection.body->Drop();
  LeaveLane(connection);
  closing_.splice(closing_.end(), *connection.phase, connection.self);
  connection.phase = &closing_;
}

bool Connections::EvictOneBut(const Connection* newcomer, Clock::time_point now) {
  if (EvictIdle()) return true;
  if (!asking_.empty() && &asking_.front() != newcomer && now - asking_.front().since >= patience_) {
    Count(counters_.connections_turned_away);
    Shut(asking_.front());
    return true;
  }
  return EvictSlow(std::nullopt, now);
}

bool Connections::EvictIdle() {
  // A connection with a new request that we have not seen yet is not idle.
  const auto idle = std::ranges::find_if(
      idle_, [](const Connection& each) { return ReceivedBytes(each.descriptor) == each.received_bytes; });
  if (idle == idle_.end()) return false;
  Count(counters_.connections_turned_away);
  Shut(*idle);
  return true;
}

bool Connections::EvictSlow(std::optional<Lane> of, Clock::time_point now) {
  const auto counts = [of](const Connection& each) { return !of || each.lane == of; };
  auto slow = std::ranges::find_if(answering_, counts);
  if (slow == answering_.end()) return false;
  if (now - slow->progressed < patience_) {
    slow = std::ranges::find_if(
        answering_, [&](const Connection& each) { return counts(each) && now - each.since >= kReadingMax; });
    if (slow == answering_.end()) return false;
  }
  Count(counters_.connections_turned_away);
  Shut(*slow);
  return true;
}

bool Connections::MakeRoomForBody(Clock::time_point now) {
  while (short_of_memory()) {
    if (!EvictSlow(std::nullopt, now)) return false;
  }
  return true;
}

void Connections::NoticeAsking(Clock::time_point now) {
  for (auto next = idle_.begin(); next != idle_.end();) {
    Connection& connection = *next++;
    if (ReceivedBytes(connection.descriptor) != connection.received_bytes) Enter(connection, asking_, now);
  }
}

void Connections::CutOverdue(Connection::List& phase, std::chrono::milliseconds deadline, Clock::time_point now) {
  for (auto next = phase.begin(); next != phase.end();) {
    Connection& connection = *next++;
    if (now - connection.since < deadline) continue;
    // An idle connection misses no deadline. Count before the shutdown, so that a client that sees it finds it counted.
    if (&phase != &idle_) Count(counters_.deadlines_missed);
    Shut(connection);
  }
}

void Connections::EnforceDeadlines(Clock::time_point now) {
  NoticeAsking(now);
  CutOverdue(asking_, limits_.header_deadline, now);
  CutOverdue(answering_, limits_.response_deadline, now);
  CutOverdue(idle_, limits_.idle_deadline, now);
  const auto progress_deadline = std::max<Clock::duration>(limits_.progress_deadline, patience_);
  while (!answering_.empty() && now - answering_.front().progressed >= progress_deadline) {
    Count(counters_.deadlines_missed);
    Shut(answering_.front());
  }
  // Also evicts for connections that came when none was slow enough yet. Otherwise these could fill all places, and no
  // new one would come to make room for.
  while (crowded() && EvictOneBut(nullptr, now)) {
  }
}

}  // namespace conntally::http
