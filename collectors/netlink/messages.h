// Netlink messages as values: the walk over the messages of one datagram (an event is one datagram, a dump's datagram
// holds many), and their headers. Pure functions of bytes: no allocation, nothing read outside. Any thread.
//
// Source: linux/netlink.h (struct nlmsghdr, NLMSG_OK, NLMSG_NEXT); linux/netfilter/nfnetlink.h (struct nfgenmsg).
#pragma once

#include <linux/netfilter/nfnetlink.h>

#include <cstring>
#include <optional>

#include "collectors/netlink/attributes.h"

namespace conntally {

struct MessageHeader {
  static constexpr std::size_t kBytes = 16;

  std::uint32_t length_bytes = 0;  // of the message with this header
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;
};

// False if `bytes` does not hold a whole message: a header and the length that it gives. Further bytes are ignored. It
// does not use mnl_nlmsg_ok, which in Debian 12 takes a length of 2 GiB or more as negative, and accepts it.
constexpr bool ReadMessageHeader(Bytes bytes, MessageHeader& header) {
  if (bytes.size() < MessageHeader::kBytes) return false;
  const auto length = LoadHostOrder<std::uint32_t>(bytes);
  if (length < MessageHeader::kBytes || length > bytes.size()) return false;
  header = {length, LoadHostOrder<std::uint16_t>(bytes.subspan(4)), LoadHostOrder<std::uint16_t>(bytes.subspan(6)),
            LoadHostOrder<std::uint32_t>(bytes.subspan(8)), LoadHostOrder<std::uint32_t>(bytes.subspan(12))};
  return true;
}

// The kernel's struct after the netlink header, such as rtmsg. nullopt if the message is too short.
template <typename Header>
std::optional<Header> HeaderOf(Bytes message) {
  Header header{};
  if (message.size() < MessageHeader::kBytes + sizeof header) return std::nullopt;
  std::memcpy(&header, message.data() + MessageHeader::kBytes, sizeof header);
  return header;
}

//   MessageWalk walk(datagram);
//   for (Bytes message; walk.Next(message);) ...
//   if (walk.malformed()) ...
class MessageWalk {
 public:
  explicit MessageWalk(Bytes datagram) : rest_(datagram) {}

  // `message` is exactly one message with its header. False at the end, and at the first incomplete message.
  bool Next(Bytes& message) {
    if (rest_.empty()) return false;
    MessageHeader header;
    malformed_ = !ReadMessageHeader(rest_, header);
    if (malformed_) return false;
    message = rest_.first(header.length_bytes);
    rest_ = rest_.subspan(std::min(Aligned(header.length_bytes), rest_.size()));
    return true;
  }

  // Whether the walk ended at an incomplete message (a truncated datagram).
  bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

// The bytes after nlmsghdr and a header of `header_bytes`, such as rtmsg; empty if the message is shorter.
inline Bytes AttributesAfter(Bytes message, std::size_t header_bytes) {
  return message.subspan(std::min(message.size(), MessageHeader::kBytes + Aligned(header_bytes)));
}

struct NetfilterMessage {
  std::uint16_t type = 0;      // NFNL_SUBSYS_* << 8 | message
  std::uint8_t family = 0;     // AF_* or NFPROTO_*
  std::uint16_t resource = 0;  // nfgenmsg's res_id: a group, a CPU
  Bytes attributes;
};

// nullopt: incomplete, or too short for nfgenmsg.
inline std::optional<NetfilterMessage> ReadNetfilterMessage(Bytes message) {
  MessageHeader header;
  if (!ReadMessageHeader(message, header)) return std::nullopt;
  message = message.first(header.length_bytes);
  if (message.size() < MessageHeader::kBytes + sizeof(nfgenmsg)) return std::nullopt;
  const Bytes netfilter = message.subspan(MessageHeader::kBytes);
  return NetfilterMessage{header.type, std::to_integer<std::uint8_t>(netfilter[0]),
                          LoadNetworkOrder<std::uint16_t>(netfilter.subspan(offsetof(nfgenmsg, res_id))),
                          AttributesAfter(message, sizeof(nfgenmsg))};
}

}  // namespace conntally
