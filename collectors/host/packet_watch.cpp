#include "collectors/host/packet_watch.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "collectors/system/file_descriptor.h"

namespace conntally {
namespace {

constexpr std::size_t kSnapBytes = 256;
constexpr int kReceiveBufferBytes = 8 << 20;

// Jumps are counted from the next instruction, so the program is laid out backwards from its two ends.
std::vector<sock_filter> FilterProgram(const WatchFilter& filter) {
  const bool udp = filter.protocol == std::uint8_t{IPPROTO_UDP} && filter.destination_port.has_value();
  const std::uint32_t port = filter.destination_port.value_or(0);
  // Without UDP its protocol number is compared with one that no packet has.
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

Result<FileDescriptor> OpenWatch(const WatchFilter& filter) {
  // Of no protocol, so that nothing arrives before the filter stands.
  FileDescriptor fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    Error error = Error::FromErrno("cannot open a packet socket", errno);
    if (error.code == EPERM) error.message += ": needs CAP_NET_RAW";
    return error;
  }
  std::vector<sock_filter> program = FilterProgram(filter);
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

}  // namespace

Result<WatchedPackets> WatchPackets(const WatchFilter& filter, std::chrono::milliseconds duration) {
  using Clock = std::chrono::steady_clock;
  auto fd = OpenWatch(filter);
  if (!fd) return fd.error();
  PacketLedger ledger(filter);
  const auto began = Clock::now();
  const auto since = [&] { return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began); };
  std::array<std::byte, kSnapBytes> packet;
  while (since() < duration) {
    pollfd waiting{fd->get(), POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(duration - since());
    if (poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 1))) <= 0) continue;
    // In portions, so that a flood does not outlast the watch.
    for (unsigned i = 0; i < 256; ++i) {
      sockaddr_ll from{};
      socklen_t from_length = sizeof from;
      const ssize_t bytes =
          recvfrom(fd->get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_length);
      if (bytes < 0) break;
      const bool leaving = from.sll_pkttype == PACKET_OUTGOING;
      // What goes over loopback is seen leaving, and then arriving.
      if (from.sll_pkttype == PACKET_OTHERHOST || (leaving && from.sll_hatype == ARPHRD_LOOPBACK)) continue;
      ledger.Take(Bytes(packet).first(static_cast<std::size_t>(bytes)),
                  leaving ? PacketLedger::Way::kLeaving : PacketLedger::Way::kArriving,
                  static_cast<std::uint32_t>(from.sll_ifindex), since());
    }
  }
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  const bool told = getsockopt(fd->get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0;
  return ledger.Close(since(), told ? statistics.tp_drops : 0);
}

}  // namespace conntally
