#include "collectors/netlink/query.h"

#include "collectors/netlink/messages.h"

namespace conntally {

Status SendRequest(NetlinkSocket& socket, const NetlinkRequest& request) {
  if (request.too_long()) return Error{"a netlink request is too long", EMSGSIZE};
  return socket.Send(request.bytes());
}

Result<ReplyProgress> ReadControl(Bytes message) {
  // libmnl gets no callback: a visitor's exception must not pass through C frames.
  const int read = mnl_cb_run(message.data(), message.size(), 0, 0, nullptr, nullptr);
  if (read > MNL_CB_STOP) return ReplyProgress::kMore;
  int code = read == MNL_CB_ERROR ? errno : 0;
  // libmnl ignores the error at the end of a failed dump (netlink_dump_done).
  MessageHeader header;
  if (ReadMessageHeader(message, header) && header.type == NLMSG_DONE && message.size() >= MessageHeader::kBytes + 4)
    code = -static_cast<std::int32_t>(LoadHostOrder<std::uint32_t>(message.subspan(MessageHeader::kBytes)));
  if (code <= 0) return ReplyProgress::kDone;
  if (code == EBADMSG) return Error{"a netlink error message is malformed", EPROTO};
  if (code == EINTR) return Error{"a netlink dump was interrupted by a change", EINTR};
  return Error::FromErrno("the kernel refused a netlink request", code);
}

Result<ReplyProgress> ReceiveReplies(NetlinkSocket& socket, ReplyBuffer& buffer,
                                     const std::function<void(Bytes)>& visit) {
  const auto datagram = socket.Receive(buffer);
  if (!datagram) return datagram.error();
  MessageWalk walk(datagram.value());
  for (Bytes message; walk.Next(message);) {
    const auto progress = ReadControl(message);
    if (!progress || *progress == ReplyProgress::kDone) return progress;
    visit(message);
  }
  if (walk.malformed()) return Error{"a netlink reply is malformed", EPROTO};
  return ReplyProgress::kMore;
}

Status Query(NetlinkSocket& socket, const NetlinkRequest& request, const std::function<void(Bytes)>& visit) {
  if (const auto sent = SendRequest(socket, request); !sent) return sent;
  ReplyBuffer buffer;
  for (;;) {
    const auto progress = ReceiveReplies(socket, buffer, visit);
    if (!progress) return progress.error();
    if (progress.value() == ReplyProgress::kDone) return Ok();
  }
}

Status QueryProtocol(int protocol, const NetlinkRequest& request, const std::function<void(Bytes)>& visit) {
  auto socket = NetlinkSocket::OpenProtocol(protocol);
  if (!socket) return socket.error();
  return Query(*socket, request, visit);
}

}  // namespace conntally
