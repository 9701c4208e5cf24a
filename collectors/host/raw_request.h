// A netlink question of any protocol: a fixed header of its own kind, then attributes. Only requests that read exist
// here.
//
// Threads: any; each question opens a socket in the calling thread's network namespace.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "collectors/netlink/attributes.h"
#include "collectors/system/result.h"

namespace conntally {

class RawRequest {
 public:
  // `header` follows nlmsghdr: rtmsg, ifaddrmsg, inet_diag_req_v2 ...
  template <typename Header>
  RawRequest(std::uint16_t type, bool dump, const Header& header)
      : RawRequest(type, dump, std::as_bytes(std::span(&header, 1))) {}

  void AddAttribute(std::uint16_t type, Bytes payload);
  template <typename Value>
  void AddAttribute(std::uint16_t type, const Value& value) {
    AddAttribute(type, std::as_bytes(std::span(&value, 1)));
  }

  // `protocol`: NETLINK_ROUTE, NETLINK_SOCK_DIAG ... Hands on each message of the answer, its nlmsghdr included.
  Status Ask(int protocol, const std::function<void(Bytes)>& visit);

 private:
  RawRequest(std::uint16_t type, bool dump, Bytes header);
  std::vector<std::byte> message_;
};

}  // namespace conntally
