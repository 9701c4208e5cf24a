#include "test/support/ct_load_udp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "test/support/pace.h"

namespace conntally::ct_load {
namespace {

constexpr std::size_t kBatch = 64;

[[noreturn]] void Fail(const char* doing) { throw std::system_error(errno, std::generic_category(), doing); }

class UdpSocket {
 public:
  UdpSocket(bool ipv6, std::uint16_t port)
      : descriptor_(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (descriptor_ < 0) Fail("open a UDP socket");
    const int on = 1;
    const int buffer_bytes = 8 * 1024 * 1024;
    setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    if (ipv6) {
      setsockopt(descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
      // IPv6 takes a source address only when it is assigned to an interface, unless told so; a local
      // route is enough for IPv4.
      setsockopt(descriptor_, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
    }
    sockaddr_storage address{};
    socklen_t bytes = sizeof(sockaddr_in);
    if (ipv6) {
      sockaddr_in6 any{};
      any.sin6_family = AF_INET6;
      any.sin6_port = htons(port);
      std::memcpy(&address, &any, sizeof any);
      bytes = sizeof any;
    } else {
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_port = htons(port);
      std::memcpy(&address, &any, sizeof any);
    }
    if (bind(descriptor_, reinterpret_cast<sockaddr*>(&address), bytes) < 0) Fail("bind a UDP source port");
  }
  UdpSocket(UdpSocket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  UdpSocket& operator=(UdpSocket&&) = delete;
  ~UdpSocket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// One packet with its addresses; the headers point into it, so it stays where it is.
struct Packet {
  sockaddr_in6 destination6{};
  sockaddr_in destination4{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
  std::array<char, 8> payload{};
  iovec vector{};
};

void FillIpv4(Packet& packet, msghdr& header, const Connection& connection, const UdpDestinations& destinations) {
  packet.destination4.sin_family = AF_INET;
  packet.destination4.sin_port = htons(connection.destination_port);
  if (destinations.ipv4.empty()) {
    std::memcpy(&packet.destination4.sin_addr, connection.destination.data(), 4);
  } else {
    inet_pton(AF_INET, destinations.ipv4.c_str(), &packet.destination4.sin_addr);
  }
  header.msg_name = &packet.destination4;
  header.msg_namelen = sizeof packet.destination4;
  header.msg_controllen = CMSG_SPACE(sizeof(in_pktinfo));
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = IPPROTO_IP;
  control->cmsg_type = IP_PKTINFO;
  control->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  std::memcpy(&info.ipi_spec_dst, connection.source.data(), 4);
  std::memcpy(CMSG_DATA(control), &info, sizeof info);
}

void FillIpv6(Packet& packet, msghdr& header, const Connection& connection, const UdpDestinations& destinations) {
  packet.destination6.sin6_family = AF_INET6;
  packet.destination6.sin6_port = htons(connection.destination_port);
  if (destinations.ipv6.empty()) {
    std::memcpy(&packet.destination6.sin6_addr, connection.destination.data(), 16);
  } else {
    inet_pton(AF_INET6, destinations.ipv6.c_str(), &packet.destination6.sin6_addr);
  }
  header.msg_name = &packet.destination6;
  header.msg_namelen = sizeof packet.destination6;
  header.msg_controllen = CMSG_SPACE(sizeof(in6_pktinfo));
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = IPPROTO_IPV6;
  control->cmsg_type = IPV6_PKTINFO;
  control->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, connection.source.data(), 16);
  std::memcpy(CMSG_DATA(control), &info, sizeof info);
}

// Sends `count` prepared headers, counting each packet that the kernel refuses and going on after it.
void SendAll(int descriptor, mmsghdr* headers, std::size_t count, UdpResult& result) {
  std::size_t done = 0;
  while (done < count) {
    const int sent = sendmmsg(descriptor, headers + done, static_cast<unsigned>(count - done), 0);
    if (sent > 0) {
      result.sent += static_cast<std::uint64_t>(sent);
      done += static_cast<std::size_t>(sent);
    } else if (errno == ECONNREFUSED || errno == EINTR) {
      continue;  // an ICMP error about an earlier packet, reported once; this one was not tried
    } else {
      ++result.failed;
      ++done;
    }
  }
}

class Sender {
 public:
  explicit Sender(const UdpDestinations& destinations) : destinations_(destinations) {}

  void Add(const Connection& connection) {
    Packet& packet = packets_[used_];
    msghdr& header = headers_[used_].msg_hdr;
    header = {};
    header.msg_control = packet.control.data();
    header.msg_controllen = packet.control.size();
    packet.vector = {packet.payload.data(), packet.payload.size()};
    header.msg_iov = &packet.vector;
    header.msg_iovlen = 1;
    connection.ipv6 ? FillIpv6(packet, header, connection, destinations_)
                    : FillIpv4(packet, header, connection, destinations_);
    ++used_;
  }
  bool full() const { return used_ == kBatch; }
  void Flush(const UdpSocket& socket, UdpResult& result) {
    SendAll(socket.descriptor(), headers_.data(), used_, result);
    used_ = 0;
  }

 private:
  const UdpDestinations& destinations_;
  std::array<Packet, kBatch> packets_{};
  std::array<mmsghdr, kBatch> headers_{};
  std::size_t used_ = 0;
};

}  // namespace

UdpResult SendUdp(const Plan& plan, const UdpJob& job) {
  UdpResult result;
  Sender sender(job.destinations);
  const Pace pace(job.rate);
  std::uint64_t sent = 0;
  // Round by round: a round has one source port, and its IPv6 sources come first (see ct_load_tuple.h).
  for (std::uint64_t index = job.first; index < job.first + job.count;) {
    const Connection opening = ConnectionOf(plan, index);
    const UdpSocket socket(opening.ipv6, opening.source_port);
    const std::uint64_t round = index / plan.sources;
    for (; index < job.first + job.count && index / plan.sources == round; ++index) {
      const Connection connection = ConnectionOf(plan, index);
      if (connection.ipv6 != opening.ipv6) break;
      for (std::uint64_t packet = 0; packet < job.packets_each; ++packet) {
        sender.Add(connection);
        ++sent;
        if (!sender.full()) continue;
        sender.Flush(socket, result);
        pace.WaitUntilDue(sent);
      }
    }
    sender.Flush(socket, result);
    pace.WaitUntilDue(sent);
  }
  return result;
}

}  // namespace conntally::ct_load
