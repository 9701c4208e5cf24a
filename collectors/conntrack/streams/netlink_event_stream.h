// The subscription to conntrack events by netlink: NEW, UPDATE and DESTROY of the calling thread's network namespace.
// Each event is a datagram of its own.
//
// UPDATE is subscribed to although it is 6 of the 8 events of a TCP connection: without it a connection would count
// as unreplied, and as syn_sent, until the next dump, up to reconcile_interval later. What that costs, by
// `test/bench/bench.py updates`, entries made through ctnetlink, median of 3 on 2 busy CPUs, in µs of CPU per TCP
// connection: to a bare receiver 6.7 instead of 3.3, to the sender 21.4 instead of 18.1 (12.4 when nobody listens);
// conntally itself uses 10.0. A classic BPF filter on the socket is no way out: it runs once the kernel has made the
// message (turning every UPDATE away left the sender at 20.5), and it sees what an entry is, not what changed, so it
// cannot tell a needed UPDATE from another.
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
  // For want of receive buffer, or since one was longer than ours.
  Result<std::uint32_t> TakeLosses() override;

  EventSource source() const override { return EventSource::kNetlink; }
  std::uint32_t buffer_bytes() const override { return granted_bytes_; }
  std::uint64_t capacity_events() const override { return granted_bytes_ / kNetlinkBytesPerEvent; }
  int fd() const override { return socket_.fd(); }

 private:
  static constexpr std::size_t kDatagramBytes = 2048;  // the largest of events, with every extension, stays below 1 kB
  static constexpr std::size_t kPaddingBytes = 64;     // or all buffers would begin in the same few sets of the cache
  struct Buffers;

  NetlinkEventStream(NetlinkSocket socket, std::uint32_t granted_bytes);

  NetlinkSocket socket_;
  std::uint32_t granted_bytes_;
  std::uint32_t drops_seen_ = 0;
  std::uint32_t truncated_ = 0;  // since losses were taken
  std::unique_ptr<Buffers> buffers_;
  Received received_;
};

}  // namespace conntally
