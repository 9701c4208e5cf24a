// Watches requests and their answers on the wire: first packets of connections, resets, and ICMP "unreachable", on
// every link, by AF_PACKET with a filter in the kernel. Packets are seen as they arrive, before any rule, and as they
// leave, after all rules.
//
// WatchPackets needs CAP_NET_RAW and blocks; it watches the calling thread's network namespace. PacketLedger is pure;
// one owner.
//
// Sources: packet(7); linux/filter.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/host/packets/stream_ledger.h"
#include "collectors/netlink/attributes.h"
#include "collectors/system/result.h"

namespace conntally {

struct WatchFilter {
  std::optional<IpAddress> source;       // of the request
  std::optional<IpAddress> destination;  // of the request
  std::optional<std::uint16_t> destination_port;
  std::optional<std::uint8_t> protocol;  // UDP is watched only if given here, with a port; else TCP
};

// The beginning of one connection.
struct WatchedFlow {
  // kFromAnother: a datagram for whoever asked, but not from the address that it asked.
  enum class Answer : std::uint8_t { kNone, kAccepted, kReset, kUnreachable, kFromAnother };

  IpAddress source;
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0;
  std::uint32_t in_link = 0;           // the request arrived by it; 0: this host sent it
  std::uint32_t out_link = 0;          // the request left by it; 0: it did not leave
  std::uint32_t requests = 0;          // the first one and its retransmissions
  Answer answer = Answer::kNone;       // as whoever asked got it: an answer to an arrived request must have left
  bool answer_arrived = false;         // an answer to an arrived request came here, to be forwarded
  bool answered_from_here = false;     // the answer was seen leaving, but not arriving
  std::uint32_t answered_by_link = 0;  // the answer left by it; 0: it did not leave
  std::uint32_t asked_again = 0;       // requests after the answer: it was lost
  std::uint32_t answered_again = 0;    // acceptances after the first one: it was not acknowledged
  std::optional<bool> acknowledged;    // whether whoever asked went on after it was accepted; absent: not known
  std::uint8_t icmp_type = 0;          // of kUnreachable
  std::uint8_t icmp_code = 0;
  std::optional<IpAddress> answered_by;       // of kUnreachable and kFromAnother: its sender
  std::chrono::microseconds answered_at{0};   // since the watch began
  std::chrono::microseconds last_request{0};  // since the watch began
};

struct WatchedPackets {
  std::chrono::microseconds lasted{0};
  std::vector<WatchedFlow> flows;
  std::uint64_t flows_left_out = 0;  // beyond the bound
  std::uint64_t packets_lost = 0;    // not read in time
  bool ended_early = false;          // the user ended it
  // About packets after connections' first ones, if the question names an address.
  std::vector<StalledStream> stalled = {};
  std::vector<TooLong> too_long = {};

  // Whether it has no answer, although one should have come by now.
  bool IsUnanswered(const WatchedFlow& flow) const {
    return flow.answer == WatchedFlow::Answer::kNone && lasted - flow.last_request >= std::chrono::milliseconds(500);
  }
  // Whether it was accepted, but whoever asked does not know: it asks again, or does not go on.
  bool IsAnswerLost(const WatchedFlow& flow) const;
  bool IsAccepted(const WatchedFlow& flow) const {
    return flow.answer == WatchedFlow::Answer::kAccepted && !IsAnswerLost(flow);
  }
};

class PacketLedger {
 public:
  static constexpr std::size_t kFlowsMax = 65'536;

  explicit PacketLedger(WatchFilter filter) : filter_(filter) {}

  // kLoopback: it leaves and arrives at once.
  enum class Way : std::uint8_t { kArriving, kLeaving, kLoopback };
  // `packet` begins at the IP header and may be truncated.
  void Take(Bytes packet, Way way, std::uint32_t link, std::chrono::microseconds when);

  WatchedPackets Close(std::chrono::microseconds lasted, std::uint64_t packets_lost) const;

 private:
  struct Key {
    IpAddress source;
    IpAddress destination;
    std::uint16_t source_port;
    std::uint16_t destination_port;
    std::uint8_t protocol;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // The links below or above a bridge, a VLAN or a bond see each packet again: it counts at the first one.
  struct Seen {
    WatchedFlow flow;
    std::uint32_t first_link = 0;
    std::uint32_t answer_link = 0;
    std::uint32_t sequence = 0;         // of a TCP request
    std::uint32_t answer_sequence = 0;  // of what accepted it
  };
  // A packet and where it was seen.
  struct Packet {
    Key key{};
    std::uint8_t tcp_flags = 0;
    std::uint32_t sequence = 0;
    bool unreachable = false;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
    IpAddress sender{};  // of an ICMP message; `key` is then that of the packet that it answers
    Way way = Way::kArriving;
    std::uint32_t link = 0;
    std::chrono::microseconds when{0};
  };
  static std::optional<Packet> Read(Bytes bytes);
  bool IsAskedFor(const Key& key) const;
  void TakeRequest(const Packet& packet);
  void TakeAnswer(const Key& request, WatchedFlow::Answer answer, const Packet& packet);
  Seen* FindTranslated(const Packet& request);
  const Key* AskedOfAnother(const Packet& answer) const;

  WatchFilter filter_;
  std::map<Key, Seen> flows_;
  std::map<std::pair<IpAddress, std::uint16_t>, Key> sockets_;  // what each client's socket asked for last
  std::map<Key, Key> translated_;                               // requests with another destination, as they came
  std::uint64_t left_out_ = 0;
};

// The caller's callbacks; either may be empty.
struct WatchMeanwhile {
  std::function<bool()> is_over;  // whether to end now; called at least twice a second
  // Called once a second, with what was seen so far and the time left.
  std::function<void(const WatchedPackets&, std::chrono::milliseconds left)> tell;
};

Result<WatchedPackets> WatchPackets(const WatchFilter& filter, std::chrono::milliseconds duration,
                                    const WatchMeanwhile& meanwhile = {});

}  // namespace conntally
