// The subscription to conntrack events: NEW, UPDATE and DESTROY of the calling thread's network namespace, received
// many at a time. Each event is a datagram of its own.
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

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

class EventStream {
 public:
  static Result<EventStream> Open(std::uint32_t receive_buffer_bytes);

  struct Received {
    std::vector<std::span<const std::byte>> messages;  // valid until the next call
    unsigned datagrams = 0;                            // read, of whatever kind
    bool drained() const { return datagrams < kBatch; }
  };

  // Whatever is queued, up to kBatch datagrams, without waiting.
  // Few, so that the buffers stay in the cache from the kernel's copy to the decoder's reading.
  static constexpr unsigned kBatch = 128;
  Result<const Received*> Receive();

  // Events lost since the last call: for want of receive buffer, or since one was longer than ours.
  Result<std::uint32_t> TakeLosses();

  std::uint32_t receive_buffer_bytes() const { return granted_bytes_; }  // as granted
  int fd() const { return socket_.fd(); }

 private:
  static constexpr std::size_t kDatagramBytes = 2048;  // the largest of events, with every extension, stays below 1 kB
  static constexpr std::size_t kPaddingBytes = 64;     // or all buffers would begin in the same few sets of the cache
  struct Buffers;

  EventStream(NetlinkSocket socket, std::uint32_t granted_bytes);

  NetlinkSocket socket_;
  std::uint32_t granted_bytes_;
  std::uint32_t drops_seen_ = 0;
  std::uint32_t truncated_ = 0;  // since losses were taken
  struct BuffersDeleter {
    void operator()(Buffers* buffers) const;
  };
  std::unique_ptr<Buffers, BuffersDeleter> buffers_;
  Received received_;
};

}  // namespace conntally
