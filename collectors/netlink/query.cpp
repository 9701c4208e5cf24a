#include "collectors/netlink/query.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>

#include "collectors/netlink/messages.h"

namespace conntally {

Status SendRequest(NetlinkSocket& socket, const NetlinkRequest& request) {
  struct {
    nlmsghdr header{};
    nfgenmsg netfilter{};
    std::array<std::byte, 1024> attributes{};
  } message;
  const std::size_t attributes_bytes = request.attributes.size();
  if (attributes_bytes > message.attributes.size()) return Error{"a netlink request is too long", EMSGSIZE};
  std::copy(request.attributes.begin(), request.attributes.end(), message.attributes.begin());
  const std::size_t length = sizeof message - message.attributes.size() + attributes_bytes;
  message.header.nlmsg_len = static_cast<std::uint32_t>(length);
  message.header.nlmsg_type = request.type;
  // A dump ends with NLMSG_DONE; a single question is made to end with an acknowledgement.
  message.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | (request.dump ? NLM_F_DUMP : NLM_F_ACK));
  message.netfilter.nfgen_family = request.family;
  return socket.Send(std::as_bytes(std::span(&message, 1)).first(length));
}

Result<ReplyProgress> ReceiveReplies(NetlinkSocket& socket, ReplyBuffer& buffer,
                                     const std::function<void(Bytes)>& visit) {
  const auto datagram = socket.Receive(buffer);
  if (!datagram) return datagram.error();
  MessageWalk walk(datagram.value());
  for (Bytes message; walk.Next(message);) {
    MessageHeader header;
    if (!ReadMessageHeader(message, header)) break;
    if ((header.flags & NLM_F_DUMP_INTR) != 0) return Error{"a netlink dump was interrupted by a change", EINTR};
    if (header.type == NLMSG_DONE) return ReplyProgress::kDone;
    if (header.type == NLMSG_ERROR) {
      const Bytes payload = message.subspan(MessageHeader::kBytes);
      if (payload.size() < sizeof(std::int32_t)) return Error{"a netlink error message is malformed", EPROTO};
      const auto code = static_cast<std::int32_t>(LoadHostOrder<std::uint32_t>(payload));
      if (code == 0) return ReplyProgress::kDone;
      return Error::FromErrno("the kernel refused a netlink request", -code);
    }
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

}  // namespace conntally
