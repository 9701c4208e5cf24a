// Queries the kernel over netlink: one request, then its replies piece by piece. There are only requests that read.
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

// Netlink dumps fill the reader's buffer, up to 32 KiB (net/netlink/af_netlink.c, netlink_dump).
struct alignas(nlmsghdr) ReplyBuffer : std::array<std::byte, 32 * 1024> {};

enum class ReplyProgress { kMore, kDone };

// What a message says about the request itself: the end of the answer, or an error.
Result<ReplyProgress> ReadControl(Bytes message);

// Receives one datagram of replies and visits each message, which is valid during the call. An error ends the query;
// EINTR means that the dump was inconsistent and should be repeated.
Result<ReplyProgress> ReceiveReplies(NetlinkSocket& socket, ReplyBuffer& buffer,
                                     const std::function<void(Bytes)>& visit);

// Sends the request and receives all replies.
Status Query(NetlinkSocket& socket, const NetlinkRequest& request, const std::function<void(Bytes)>& visit);

// The same on a new socket of `protocol` (NETLINK_ROUTE, NETLINK_SOCK_DIAG ...), in the calling thread's network
// namespace.
Status QueryProtocol(int protocol, const NetlinkRequest& request, const std::function<void(Bytes)>& visit);

}  // namespace conntally
