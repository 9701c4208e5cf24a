#include "collectors/netlink/socket.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>

namespace conntally {

Result<NetlinkSocket> NetlinkSocket::Open() { return OpenProtocol(NETLINK_NETFILTER); }

Result<NetlinkSocket> NetlinkSocket::OpenProtocol(int protocol) {
  const std::string name = protocol == NETLINK_NETFILTER ? "netfilter netlink socket" : "netlink socket";
  FileDescriptor fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (fd.get() < 0) return Error::FromErrno("cannot open a " + name, errno);
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) < 0) {
    return Error::FromErrno("cannot bind a " + name, errno);
  }
  // Connects to the kernel, port 0: then messages from processes are refused (netlink_getsockbyportid).
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) < 0) {
    return Error::FromErrno("cannot connect a " + name, errno);
  }
  return NetlinkSocket(std::move(fd));
}

Status NetlinkSocket::Join(unsigned group) {
  if (setsockopt(fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0) return Ok();
  return Error::FromErrno("cannot join netfilter netlink group " + std::to_string(group), errno);
}

Result<std::uint32_t> NetlinkSocket::SetReceiveBuffer(std::uint32_t bytes) {
  const int wanted = static_cast<int>(bytes);
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) < 0) {
    if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted) < 0) {
      return Error::FromErrno("cannot set the receive buffer", errno);
    }
  }
  int granted = 0;
  socklen_t length = sizeof granted;
  if (getsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &granted, &length) < 0) {
    return Error::FromErrno("cannot read the receive buffer's size", errno);
  }
  return static_cast<std::uint32_t>(granted);
}

Status NetlinkSocket::IgnoreOverruns() {
  const int on = 1;
  if (setsockopt(fd(), SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on) == 0) return Ok();
  return Error::FromErrno("cannot set NETLINK_NO_ENOBUFS", errno);
}

Result<std::uint32_t> NetlinkSocket::Drops() const {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t length = sizeof memory;
  if (getsockopt(fd(), SOL_SOCKET, SO_MEMINFO, memory.data(), &length) < 0) {
    return Error::FromErrno("cannot read SO_MEMINFO", errno);
  }
  return memory[SK_MEMINFO_DROPS];
}

Status NetlinkSocket::Send(std::span<const std::byte> request) {
  const ssize_t sent = send(fd(), request.data(), request.size(), 0);
  if (sent == static_cast<ssize_t>(request.size())) return Ok();
  return Error::FromErrno("cannot send a netlink request", sent < 0 ? errno : EMSGSIZE);
}

Result<std::span<const std::byte>> NetlinkSocket::Receive(std::span<std::byte> buffer) {
  for (;;) {
    iovec slice{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &slice;
    message.msg_iovlen = 1;
    const ssize_t received = recvmsg(fd(), &message, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return Error::FromErrno("cannot receive from netlink", errno);
    if ((message.msg_flags & MSG_TRUNC) != 0) return Error{"a netlink message is longer than its buffer", EMSGSIZE};
    return std::span<const std::byte>(buffer.first(static_cast<std::size_t>(received)));
  }
}

}  // namespace conntally
