#include "collectors/host/raw_request.h"

#include <linux/netlink.h>

#include <algorithm>

#include "collectors/netlink/query.h"

namespace conntally {
namespace {

constexpr std::size_t kAlignment = 4;

void Append(std::vector<std::byte>& message, Bytes bytes) {
  message.insert(message.end(), bytes.begin(), bytes.end());
  message.resize((message.size() + kAlignment - 1) / kAlignment * kAlignment);
}

}  // namespace

RawRequest::RawRequest(std::uint16_t type, bool dump, Bytes header) {
  nlmsghdr prefix{};
  prefix.nlmsg_type = type;
  prefix.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | (dump ? NLM_F_DUMP : NLM_F_ACK));
  Append(message_, std::as_bytes(std::span(&prefix, 1)));
  Append(message_, header);
}

void RawRequest::AddAttribute(std::uint16_t type, Bytes payload) {
  nlattr header{};
  header.nla_len = static_cast<std::uint16_t>(sizeof header + payload.size());
  header.nla_type = type;
  Append(message_, std::as_bytes(std::span(&header, 1)));
  Append(message_, payload);
}

Status RawRequest::Ask(int protocol, const std::function<void(Bytes)>& visit) {
  auto socket = NetlinkSocket::OpenProtocol(protocol);
  if (!socket) return socket.error();
  const auto length = static_cast<std::uint32_t>(message_.size());
  std::memcpy(message_.data(), &length, sizeof length);
  if (const auto sent = socket->Send(message_); !sent) return sent;
  ReplyBuffer buffer;
  for (;;) {
    const auto progress = ReceiveReplies(*socket, buffer, visit);
    if (!progress) return progress.error();
    if (progress.value() == ReplyProgress::kDone) return Ok();
  }
}

}  // namespace conntally
