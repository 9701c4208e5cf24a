// Tracks a connection's unacknowledged data, and how often it was sent: data that arrives here repeatedly and gets no
// further is lost here, although the connection was accepted. Knows the requests that nothing follows. Also collects
// ICMP messages that a packet was too long for its path. Pure; one owner.
//
// Sources: RFC 9293; RFC 1191 and RFC 8201.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/netlink/attributes.h"

namespace conntally {

struct StreamEnds {
  IpAddress source;
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  friend auto operator<=>(const StreamEnds&, const StreamEnds&) = default;
  StreamEnds Reversed() const { return {destination, source, destination_port, source_port}; }
};

// Unacknowledged data of one direction.
struct StalledStream {
  StreamEnds ends;             // of the stalled packets, in their direction
  std::uint32_t in_link = 0;   // they arrived by it; 0: this host sent them
  std::uint32_t out_link = 0;  // they left by it; 0: they did not leave
  std::uint32_t times = 0;     // the first one and its retransmissions
  std::chrono::microseconds first{0};
};

// "Fragmentation needed", "packet too big".
struct TooLong {
  StreamEnds ends;  // of the packet that was too long
  IpAddress said_by;
  IpAddress said_to;
  std::uint32_t in_link = 0;   // it arrived by it; 0: this host sent it
  std::uint32_t out_link = 0;  // it left by it; 0: it did not leave
  std::uint32_t mtu = 0;
  std::uint32_t times = 0;
};

class StreamLedger {
 public:
  static constexpr std::size_t kStreamsMax = 16'384;
  static constexpr std::size_t kTooLongMax = 64;

  struct Segment {
    StreamEnds ends;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledged = 0;
    std::uint32_t payload_bytes = 0;
    bool acknowledges = false;
    bool begins_or_ends = false;  // SYN or RST
    bool requests = false;        // SYN without ACK
  };

  void Take(const Segment& segment, bool leaving, std::uint32_t link, std::chrono::microseconds when);
  void Take(const TooLong& said, bool leaving, std::uint32_t link);

  // Data that was sent at least twice, or has waited for half a second.
  std::vector<StalledStream> Stalled(std::chrono::microseconds now) const;
  std::vector<TooLong> too_long() const;
  // Whether nothing followed this request from whoever sent it.
  bool IsSilentSince(const StreamEnds& request) const { return requested_.contains(request); }
  std::uint64_t left_out() const { return left_out_; }

 private:
  struct Waiting {
    std::uint32_t sequence = 0;
    std::uint32_t link = 0;  // that saw it first
    StalledStream stalled;
  };
  std::map<StreamEnds, std::optional<Waiting>> streams_;  // by direction
  std::map<std::pair<StreamEnds, IpAddress>, TooLong> too_long_;
  std::set<StreamEnds> requested_;  // and not gone on
  std::uint64_t left_out_ = 0;
};

}  // namespace conntally
