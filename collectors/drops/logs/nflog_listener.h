// Listens to NFLOG groups, to which log rules send packets. One socket per group, as its only listener. This does not
// change what the rules do.
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

  // Takes queued packets, without waiting, from at most `datagrams_max` datagrams.
  Status Receive(unsigned datagrams_max, const std::function<void(LoggedPacket&&)>& visit);

  std::uint16_t group() const { return group_; }
  // Packets that the kernel logged to the group but could not deliver, by gaps in the sequence.
  std::uint64_t lost() const { return lost_; }
  // Messages without an IP packet.
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
