// One netlink request as bytes, written by libmnl: the netlink header, the protocol's header, attributes. A value; any
// thread.
//
// Sources: netlink(7), linux/netfilter/nfnetlink.h, libmnl(3).
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstdint>
#include <string>
#include <type_traits>

#include "collectors/netlink/attributes.h"

namespace conntally {

class NetlinkRequest {
 public:
  enum class Wants {
    kOne,   // ends with an acknowledgement
    kDump,  // all objects; ends with NLMSG_DONE
  };

  // For netfilter: `type` is NFNL_SUBSYS_* << 8 | message, `family` an AF_* or NFPROTO_*, `resource` nfgenmsg's res_id.
  NetlinkRequest(std::uint16_t type, Wants wants, std::uint8_t family = 0, std::uint16_t resource = 0);

  // For another protocol: `header` follows nlmsghdr: rtmsg, ifaddrmsg, inet_diag_req_v2 ...
  template <typename Header>
  requires std::is_class_v<Header> NetlinkRequest(std::uint16_t type, Wants wants, const Header& header)
      : NetlinkRequest(type, wants, std::as_bytes(std::span(&header, 1))) {}

  NetlinkRequest& Put(std::uint16_t type, Bytes payload);
  template <typename Value>
  requires(std::is_trivially_copyable_v<Value> &&
           !std::is_convertible_v<Value, Bytes>) NetlinkRequest& Put(std::uint16_t type,
                                                                     const Value& value) {  // as in memory
    return Put(type, std::as_bytes(std::span(&value, 1)));
  }
  NetlinkRequest& PutText(std::uint16_t type, const std::string& text);  // with a NUL

  // For callers that write through libmnl or libnetfilter_conntrack: has room for kOwnBytesMax in short attributes.
  static constexpr std::size_t kOwnBytesMax = 256;
  nlmsghdr* message() { return static_cast<nlmsghdr*>(static_cast<void*>(buffer_.data())); }

  Bytes bytes() const;
  bool too_long() const { return too_long_; }  // an attribute had no room and was left out

 private:
  static constexpr std::size_t kBytesMax = 1280;
  NetlinkRequest(std::uint16_t type, Wants wants, Bytes header);

  alignas(nlmsghdr) std::array<std::byte, kBytesMax + kOwnBytesMax> buffer_{};  // libmnl does not write padding
  bool too_long_ = false;
};

}  // namespace conntally
