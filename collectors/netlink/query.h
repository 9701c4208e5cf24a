// Asking the kernel over netlink: one request, then its replies piece by piece. Only requests that read exist here.
//
// Threads: the socket's owner.
//
// Sources: netlink(7), net/netlink/af_netlink.c.
#pragma once

#include <array>
#include <cstddef>
#include <functional>

#include "collectors/netlink/request.h"
#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

Status SendRequest(NetlinkSocket& socket, const NetlinkRequest& request);

// Netlink dumps fill what the reader offers, up to 32 KiB (net/netlink/af_netlink.c, netlink_dump).
struct alignas(nlmsghdr) ReplyBuffer : std::array<std::byte, 32 * 1024> {};

enum class ReplyProgress { kMore, kDone };

// What one message of the kernel's says of the request itself: the end of its answer, or why there is none.
Result<ReplyProgress> ReadControl(Bytes message);

// Receives one datagram of replies and hands on each message, which is valid during the call. An error ends the query;
// with EINTR as its code the kernel says that what it dumped is not consistent and should be asked for again.
Result<ReplyProgress> ReceiveReplies(NetlinkSocket& socket, ReplyBuffer& buffer,
                                     const std::function<void(Bytes)>& visit);

// Both together, to the end.
Status Query(NetlinkSocket& socket, const NetlinkRequest& request, const std::function<void(Bytes)>& visit);

// Likewise on a socket of its own, of `protocol` (NETLINK_ROUTE, NETLINK_SOCK_DIAG ...), in the calling thread's
// network namespace.
Status QueryProtocol(int protocol, const NetlinkRequest& request, const std::function<void(Bytes)>& visit);

}  // namespace conntally
