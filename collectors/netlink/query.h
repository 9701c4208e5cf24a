// Asking nfnetlink: one request, then its replies piece by piece. Only requests that read exist here.
//
// Threads: the socket's owner.
//
// Sources: linux/netfilter/nfnetlink.h, netlink(7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "collectors/netlink/attributes.h"
#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

struct NetlinkRequest {
  std::uint16_t type = 0;   // NFNL_SUBSYS_* << 8 | message
  std::uint8_t family = 0;  // AF_*
  bool dump = false;        // all of them, instead of one
  Bytes attributes = {};    // after the header; 1 KiB at most
};

Status SendRequest(NetlinkSocket& socket, const NetlinkRequest& request);

// Netlink dumps fill what the reader offers, up to 32 KiB (net/netlink/af_netlink.c, netlink_dump).
using ReplyBuffer = std::array<std::byte, 32 * 1024>;

enum class ReplyProgress { kMore, kDone };

// Receives one datagram of replies and hands on each message, which is valid during the call. An error ends the query;
// with EINTR as its code the kernel says that what it dumped is not consistent and should be asked for again.
Result<ReplyProgress> ReceiveReplies(NetlinkSocket& socket, ReplyBuffer& buffer,
                                     const std::function<void(Bytes)>& visit);

// Both together, to the end.
Status Query(NetlinkSocket& socket, const NetlinkRequest& request, const std::function<void(Bytes)>& visit);

}  // namespace conntally
