// Listens to NFLOG groups: log rules that hand their packets to userspace. One socket per group, bound to it as its
// only listener. What the rules do is not changed.
//
// Threads: one owner.
//
// Sources: linux/netfilter/nfnetlink_log.h; net/netfilter/nfnetlink_log.c (nfulnl_recv_config).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "collectors/drops/drop_event.h"
#include "collectors/netlink/attributes.h"
#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

class NflogListener {
 public:
  // In the calling thread's network namespace. EBUSY: another process holds the group. EPERM: CAP_NET_ADMIN is missing.
  static Result<NflogListener> Bind(std::uint16_t group);

  // Readable when there is something to receive.
  int fd() const { return socket_.fd(); }

  // Takes what has been queued, without waiting, up to `datagrams_max` datagrams.
  Status Receive(unsigned datagrams_max, const std::function<void(LoggedPacket&&)>& visit);

  std::uint16_t group() const { return group_; }
  // Packets that the kernel logged to the group and could not deliver, known by the gaps of their sequence.
  std::uint64_t lost() const { return lost_; }
  // Messages that were no packet with an IP header.
  std::uint64_t skipped() const { return skipped_; }

 private:
  NflogListener(NetlinkSocket socket, std::uint16_t group);
  Status Configure();
  Status AwaitAcknowledgement();
  void Take(Bytes message, const std::function<void(LoggedPacket&&)>& visit);

  NetlinkSocket socket_;
  std::uint16_t group_;
  std::vector<std::byte> buffer_;
  std::optional<std::uint32_t> next_sequence_;
  std::uint64_t lost_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace conntally
