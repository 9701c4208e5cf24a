// Builds netlink messages by hand, right or wrong, for what the kernel would never send.
//
//   Message(IPCTNL_MSG_CT_NEW, 0, AF_INET, {Nest(CTA_TUPLE_ORIG, {...}), Field(CTA_ID, std::uint32_t{7})})
#pragma once

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <bit>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "collectors/netlink/attributes.h"

namespace conntally::test {

using Buffer = std::vector<std::byte>;

template <typename T>
Buffer HostBytes(const T& value) {
  Buffer bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <std::unsigned_integral T>
Buffer NetworkBytes(T value) {
  return HostBytes(LoadNetworkOrder<T>(HostBytes(value)));  // the swap is its own inverse
}

inline Buffer Join(std::initializer_list<Buffer> parts) {
  Buffer whole;
  for (const Buffer& part : parts) whole.insert(whole.end(), part.begin(), part.end());
  return whole;
}

// `claimed_bytes` stands in nla_len, whatever the payload's length.
inline Buffer RawAttribute(int type, std::size_t claimed_bytes, const Buffer& payload) {
  Buffer bytes =
      Join({HostBytes(nlattr{static_cast<std::uint16_t>(claimed_bytes), static_cast<std::uint16_t>(type)}), payload});
  bytes.resize((bytes.size() + 3) & ~std::size_t{3});
  return bytes;
}

inline Buffer Field(int type, const Buffer& payload) {
  return RawAttribute(type, sizeof(nlattr) + payload.size(), payload);
}

template <std::unsigned_integral T>
Buffer Field(int type, T value) {
  return Field(type, NetworkBytes(value));
}

inline Buffer Nest(int type, std::initializer_list<Buffer> attributes) {
  return Field(type | NLA_F_NESTED, Join(attributes));
}

// A netfilter message of the conntrack subsystem.
inline Buffer Message(int type, int flags, int family, std::initializer_list<Buffer> attributes) {
  const Buffer payload = Join(attributes);
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + sizeof(nfgenmsg) + payload.size());
  header.nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header.nlmsg_flags = static_cast<std::uint16_t>(flags);
  return Join({HostBytes(header), HostBytes(nfgenmsg{static_cast<std::uint8_t>(family), NFNETLINK_V0, 0}), payload});
}

}  // namespace conntally::test
