// A walk over the netlink messages of one datagram: an event is a datagram of its own, a dump's
// datagrams hold many. Pure functions of bytes: no allocation, no alignment asked for. Any thread.
//
// Source: linux/netlink.h (struct nlmsghdr, NLMSG_OK, NLMSG_NEXT).
#pragma once

#include "collectors/netlink/attributes.h"

namespace conntally {

struct MessageHeader {
  static constexpr std::size_t kBytes = 16;

  std::uint32_t length_bytes = 0;  // of the message, this header included
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;
};

// False when `bytes` do not hold a whole message: a header and the length it gives. Bytes beyond that
// length are allowed, and not looked at.
constexpr bool ReadMessageHeader(Bytes bytes, MessageHeader& header) {
  if (bytes.size() < MessageHeader::kBytes) return false;
  const auto length = LoadHostOrder<std::uint32_t>(bytes);
  if (length < MessageHeader::kBytes || length > bytes.size()) return false;
  header = {length, LoadHostOrder<std::uint16_t>(bytes.subspan(4)), LoadHostOrder<std::uint16_t>(bytes.subspan(6)),
            LoadHostOrder<std::uint32_t>(bytes.subspan(8)), LoadHostOrder<std::uint32_t>(bytes.subspan(12))};
  return true;
}

//   MessageWalk walk(datagram);
//   for (Bytes message; walk.Next(message);) ...
//   if (walk.malformed()) ...
class MessageWalk {
 public:
  constexpr explicit MessageWalk(Bytes datagram) : rest_(datagram) {}

  // `message` is exactly one message, its header included. False at the end, and at the first bytes
  // that are no whole message.
  constexpr bool Next(Bytes& message) {
    if (rest_.empty()) return false;
    MessageHeader header;
    if (!ReadMessageHeader(rest_, header)) {
      malformed_ = true;
      return false;
    }
    const std::size_t length = header.length_bytes;
    message = rest_.first(length);
    rest_ = rest_.subspan(std::min((length + 3) & ~std::size_t{3}, rest_.size()));
    return true;
  }

  // Whether the walk ended before bytes that are no whole message (a datagram cut short).
  constexpr bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

}  // namespace conntally
