// A netlink socket, by default for netfilter's protocol: the only way in which conntally talks to the kernel's
// netfilter, and only with requests that read. Move-only. One thread at a time.
//
// Sources: netlink(7), socket(7), linux/netfilter/nfnetlink.h, net/netlink/af_netlink.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/result.h"

namespace conntally {

class NetlinkSocket {
 public:
  // In the calling thread's network namespace. Ignores messages from other processes. EPROTONOSUPPORT: the kernel has
  // no nfnetlink.
  static Result<NetlinkSocket> Open();

  // The same for NETLINK_ROUTE, NETLINK_SOCK_DIAG ... ...
  static Result<NetlinkSocket> OpenProtocol(int protocol);

  // `group` is an NFNLGRP_*. EPERM without CAP_NET_ADMIN.
  Status Join(unsigned group);

  // Requests `bytes`, beyond net.core.rmem_max if CAP_NET_ADMIN allows it. Returns the granted size by the kernel's
  // accounting: twice the request, since each message is charged with its overhead.
  Result<std::uint32_t> SetReceiveBuffer(std::uint32_t bytes);

  // By default the kernel queues nothing after a loss until the queue is drained. With this it continues, without
  // ENOBUFS, and Drops() counts the loss.
  Status IgnoreOverruns();

  // Messages lost to a full receive buffer since the socket was opened, modulo 2^32 (SK_MEMINFO_DROPS).
  Result<std::uint32_t> Drops() const;

  Status Send(std::span<const std::byte> request);

  // Receives one datagram into `buffer`; blocks. A truncated one (MSG_TRUNC) is an error.
  Result<std::span<const std::byte>> Receive(std::span<std::byte> buffer);

  int fd() const { return fd_.get(); }

 private:
  explicit NetlinkSocket(FileDescriptor fd) : fd_(std::move(fd)) {}
  FileDescriptor fd_;
};

}  // namespace conntally
