#include "collectors/host/packets/packet_watch.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "collectors/host/network_reader.h"
#include "collectors/host/packets/stream_filter.h"
#include "collectors/system/file_descriptor.h"

namespace conntally {
namespace {

constexpr std::size_t kSnapBytes = 256;
constexpr int kReceiveBufferBytes = 8 << 20;

// Jump offsets count from the next instruction.
std::vector<sock_filter> FilterProgram(const WatchFilter& filter) {
  const bool udp = filter.protocol == std::uint8_t{IPPROTO_UDP} && filter.destination_port.has_value();
  const std::uint32_t port = filter.destination_port.value_or(0);
  // Without UDP, compare with a protocol number that no packet has.
  const std::uint32_t udp_number = udp ? IPPROTO_UDP : 0x100;
  constexpr std::uint32_t kProtocol = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL);
  return {
      /*  0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kProtocol),
      /*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 17, 0),  // 19
      /*  2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 29),    // 32: nothing
      /*  3 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
      /*  4 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 27, 0),  // a later fragment
      /*  5 */ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
      /*  6 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
      /*  7 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 2),  // 10
      /*  8 */ BPF_STMT(BPF_LD | BPF_B | BPF_IND, 13),
      /*  9 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x06, 21, 22),       // 31: SYN or RST
      /* 10 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 0, 2),  // 13
      /* 11 */ BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
      /* 12 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 18, 19),
      /* 13 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, udp_number, 0, 18),
      /* 14 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
      /* 15 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 15, 0),
      /* 16 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
      /* 17 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 13, 14),
      /* 18 */ BPF_STMT(BPF_RET | BPF_K, 0),
      // IPv6
      /* 19 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
      /* 20 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 2),  // 23
      /* 21 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 40 + 13),
      /* 22 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x06, 8, 9),
      /* 23 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 2),  // 26
      /* 24 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 40),
      /* 25 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 5, 6),
      /* 26 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, udp_number, 0, 5),
      /* 27 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 40 + 2),
      /* 28 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
      /* 29 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 40),
      /* 30 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
      /* 31 */ BPF_STMT(BPF_RET | BPF_K, kSnapBytes),
      /* 32 */ BPF_STMT(BPF_RET | BPF_K, 0),
  };
}

// What a link hears but is not for it passes if it is for a bridge of this host: the port's own address may be another,
// and br_netfilter may translate the packet before the bridge has it.
std::vector<sock_filter> WithWhatIsForBridges(const std::vector<Link>& links, const std::vector<sock_filter>& program) {
  constexpr std::size_t kBridgesMax = 512;  // of a program's 4,096 instructions
  constexpr auto kAncillary = [](int offset) { return static_cast<std::uint32_t>(SKF_AD_OFF + offset); };
  constexpr auto kFrame = static_cast<std::uint32_t>(SKF_LL_OFF);
  std::set<std::array<std::byte, 6>> addresses;
  for (const Link& link : links) {
    if (link.kind == "bridge" && link.ethernet && addresses.size() < kBridgesMax) addresses.insert(*link.ethernet);
  }
  // A jump back is not possible, so that the way to the program is 5 instructions an address, and 1.
  auto left = static_cast<std::uint32_t>(addresses.size()) * 5 + 1;
  std::vector<sock_filter> whole = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kAncillary(SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 1, 0),
      BPF_STMT(BPF_JMP | BPF_JA, left),
  };
  for (const auto& address : addresses) {
    left -= 5;
    whole.insert(whole.end(),
                 {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFrame),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LoadNetworkOrder<std::uint32_t>(address), 0, 3),
                  BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kFrame + 4),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LoadNetworkOrder<std::uint16_t>(Bytes(address).subspan(4)), 0, 1),
                  BPF_STMT(BPF_JMP | BPF_JA, left)});
  }
  whole.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  whole.insert(whole.end(), program.begin(), program.end());
  return whole;
}

Result<FileDescriptor> OpenWatch(const std::vector<Link>& links, const std::vector<sock_filter>& wanted) {
  std::vector<sock_filter> program = WithWhatIsForBridges(links, wanted);
  // With protocol 0, so that nothing arrives before the filter is attached.
  FileDescriptor fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    Error error = Error::FromErrno("cannot open a packet socket", errno);
    if (error.code == EPERM) error.message += ": needs CAP_NET_RAW";
    return error;
  }
  const sock_fprog attached{static_cast<unsigned short>(program.size()), program.data()};
  if (setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) < 0) {
    return Error::FromErrno("cannot attach a packet filter", errno);
  }
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  sockaddr_ll all{};
  all.sll_family = AF_PACKET;
  all.sll_protocol = htons(ETH_P_ALL);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&all), sizeof all) < 0) {
    return Error::FromErrno("cannot watch packets", errno);
  }
  return fd;
}

// Reads waiting packets in portions, so that a flood does not prolong the watch.
template <typename Visitor>
void ReadSome(const FileDescriptor& fd, const Visitor& visit) {
  std::array<std::byte, kSnapBytes> packet;
  for (unsigned i = 0; i < 256; ++i) {
    sockaddr_ll from{};
    socklen_t from_length = sizeof from;
    const ssize_t bytes =
        recvfrom(fd.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_length);
    if (bytes < 0) return;
    const bool leaving = from.sll_pkttype == PACKET_OUTGOING, loopback = from.sll_hatype == ARPHRD_LOOPBACK;
    if (leaving && loopback) continue;  // it is also seen arriving
    visit(Bytes(packet).first(static_cast<std::size_t>(bytes)),
          loopback  ? PacketLedger::Way::kLoopback
          : leaving ? PacketLedger::Way::kLeaving
                    : PacketLedger::Way::kArriving,
          static_cast<std::uint32_t>(from.sll_ifindex));
  }
}

// Rules and routes know a bridge, not the port by which a packet came to it.
void NameBridges(const std::vector<Link>& links, WatchedPackets& watched) {
  std::map<std::uint32_t, std::uint32_t> bridge_of;
  for (const Link& port : links) {
    const bool bridged = std::any_of(links.begin(), links.end(), [&](const Link& link) {
      return link.index == port.master && link.kind == "bridge";
    });
    if (bridged) bridge_of[port.index] = port.master;
  }
  const auto name = [&](std::uint32_t& link) {
    if (const auto found = bridge_of.find(link); found != bridge_of.end()) link = found->second;
  };
  for (WatchedFlow& flow : watched.flows) name(flow.in_link), name(flow.answered_by_link);
  for (StalledStream& stalled : watched.stalled) name(stalled.in_link);
}

// Whether the asker of what was accepted went on, where all its packets were watched.
void NameAcknowledged(const StreamLedger& streams, WatchedPackets& watched) {
  for (WatchedFlow& flow : watched.flows) {
    if (flow.answer != WatchedFlow::Answer::kAccepted || flow.protocol != IPPROTO_TCP || flow.acknowledged) continue;
    flow.acknowledged =
        !streams.IsSilentSince({flow.source, flow.destination, flow.source_port, flow.destination_port});
  }
}

std::uint64_t Lost(const FileDescriptor& fd) {
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  return getsockopt(fd.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0 ? statistics.tp_drops : 0;
}

}  // namespace

Result<WatchedPackets> WatchPackets(const WatchFilter& filter, std::chrono::milliseconds duration,
                                    const WatchMeanwhile& meanwhile) {
  using Clock = std::chrono::steady_clock;
  using std::chrono::milliseconds;
  const auto read = ReadLinks();
  const std::vector<Link> links = read ? *read : std::vector<Link>{};
  auto fd = OpenWatch(links, FilterProgram(filter));
  if (!fd) return fd.error();
  // On its own socket, so that data streams do not displace the first packets of connections.
  std::optional<FileDescriptor> streams_fd;
  if (IsNarrow(filter)) {
    if (auto opened = OpenWatch(links, StreamProgram(filter, kSnapBytes))) streams_fd.emplace(std::move(*opened));
  }
  PacketLedger ledger(filter);
  StreamLedger streams;
  const auto began = Clock::now();
  const auto since = [&] { return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began); };
  const auto seen = [&] {
    WatchedPackets watched = ledger.Close(since(), 0);
    watched.stalled = streams.Stalled(since());
    watched.too_long = streams.too_long();
    watched.flows_left_out += streams.left_out();
    if (streams_fd && streams.left_out() == 0) NameAcknowledged(streams, watched);
    NameBridges(links, watched);
    return watched;
  };
  auto told_at = milliseconds(0);
  bool early = false;
  while (since() < duration && !early) {
    pollfd waiting[2] = {{fd->get(), POLLIN, 0}, {streams_fd ? streams_fd->get() : -1, POLLIN, 0}};
    const auto left = std::chrono::duration_cast<milliseconds>(duration - since());
    const int ready = poll(waiting, 2, static_cast<int>(std::clamp<std::int64_t>(left.count(), 1, 250)));
    early = meanwhile.is_over && meanwhile.is_over();
    if (meanwhile.tell && since() - told_at >= std::chrono::seconds(1)) {
      told_at = std::chrono::duration_cast<milliseconds>(since());
      meanwhile.tell(seen(), left);
    }
    if (ready <= 0) continue;
    ReadSome(*fd,
             [&](Bytes packet, PacketLedger::Way way, std::uint32_t link) { ledger.Take(packet, way, link, since()); });
    if (!streams_fd) continue;
    ReadSome(*streams_fd, [&](Bytes packet, PacketLedger::Way way, std::uint32_t link) {
      const bool leaving = way == PacketLedger::Way::kLeaving;
      if (const auto segment = ReadSegment(packet); segment && IsAskedFor(filter, segment->ends))
        streams.Take(*segment, leaving, link, since());
      if (const auto said = ReadTooLong(packet); said && IsAskedFor(filter, said->ends))
        streams.Take(*said, leaving, link);
    });
  }
  WatchedPackets watched = seen();
  const std::uint64_t streams_lost = streams_fd ? Lost(*streams_fd) : 0;
  watched.packets_lost = Lost(*fd) + streams_lost;
  // A lost packet may have been the acknowledgement.
  if (streams_lost > 0) {
    watched.stalled.clear();
    for (WatchedFlow& flow : watched.flows) flow.acknowledged.reset();
  }
  watched.ended_early = early;
  return watched;
}

}  // namespace conntally
