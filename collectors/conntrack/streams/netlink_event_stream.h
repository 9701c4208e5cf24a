// The subscription to conntrack events by netlink: NEW, UPDATE and DESTROY of the calling thread's network namespace.
// Each event is one datagram.
//
// It subscribes to UPDATE although that is 6 of the 8 events of a TCP connection. Without it a connection would count
// as unreplied, and as syn_sent, until the next dump, up to reconcile_interval later. The cost by `test/bench/bench.py
// updates` (entries created through ctnetlink, median of 3 on 2 busy CPUs), in µs of CPU per TCP connection: a bare
// receiver takes 6.7 instead of 3.3, the sender 21.4 instead of 18.1 (12.4 without a listener); conntally itself takes
// 10.0. A classic BPF filter on the socket does not help: it runs after the kernel has built the message (rejecting
// every UPDATE left the sender at 20.5), and it sees the entry's state, not what changed, so it cannot select the
// needed UPDATEs.
//
// Threads: one owner.
#pragma once

#include <memory>

#include "collectors/conntrack/streams/event_stream.h"
#include "collectors/netlink/event_capacity.h"
#include "collectors/netlink/socket.h"

namespace conntally {

class NetlinkEventStream : public EventStream {
 public:
  static Result<std::unique_ptr<EventStream>> Open(std::uint32_t receive_buffer_bytes);
  ~NetlinkEventStream() override;

  Result<const Received*> Receive() override;
  // Because the receive buffer was full, or a datagram was longer than our buffer.
  Result<std::uint32_t> TakeLosses() override;

  EventSource source() const override { return EventSource::kNetlink; }
  std::uint32_t buffer_bytes() const override { return granted_bytes_; }
  std::uint64_t capacity_events() const override { return granted_bytes_ / kNetlinkBytesPerEvent; }
  int fd() const override { return socket_.fd(); }

 private:
  static constexpr std::size_t kDatagramBytes = 2048;  // the largest event, with every extension, is below 1 kB
  static constexpr std::size_t kPaddingBytes = 64;     // else all buffers would begin in the same few cache sets
  struct Buffers;

  NetlinkEventStream(NetlinkSocket socket, std::uint32_t granted_bytes);

  NetlinkSocket socket_;
  std::uint32_t granted_bytes_;
  std::uint32_t drops_seen_ = 0;
  std::uint32_t truncated_ = 0;  // since TakeLosses
  std::unique_ptr<Buffers> buffers_;
  Received received_;
};

}  // namespace conntally
