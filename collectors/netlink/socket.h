// A netlink socket, of netfilter's protocol unless another is asked for: the only way in which conntally speaks to the
// kernel's netfilter, and only with requests that read. Move-only. One thread at a time.
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
  // In the calling thread's network namespace, deaf to what other processes send. EPROTONOSUPPORT: the kernel has no
  // nfnetlink.
  static Result<NetlinkSocket> Open();

  // Likewise, of NETLINK_ROUTE, NETLINK_SOCK_DIAG ...
  static Result<NetlinkSocket> OpenProtocol(int protocol);

  // `group` as NFNLGRP_* counts them. EPERM without CAP_NET_ADMIN.
  Status Join(unsigned group);

  // Asks for `bytes`, past net.core.rmem_max where CAP_NET_ADMIN allows it. Returns what was granted, as the kernel
  // accounts it: twice what was asked, since each message is charged with its bookkeeping.
  Result<std::uint32_t> SetReceiveBuffer(std::uint32_t bytes);

  // After a loss the kernel would queue nothing until the queue is fully drained; without ENOBUFS it goes on, and
  // drops() tells the loss.
  Status IgnoreOverruns();

  // Messages lost to a full receive buffer since the socket was opened, modulo 2^32 (SK_MEMINFO_DROPS).
  Result<std::uint32_t> Drops() const;

  Status Send(std::span<const std::byte> request);

  // One datagram, cut to `buffer`; blocks. MSG_TRUNC counts as an error.
  Result<std::span<const std::byte>> Receive(std::span<std::byte> buffer);

  int fd() const { return fd_.get(); }

 private:
  explicit NetlinkSocket(FileDescriptor fd) : fd_(std::move(fd)) {}
  FileDescriptor fd_;
};

}  // namespace conntally
