#include "collectors/netlink/request.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

namespace conntally {

NetlinkRequest::NetlinkRequest(std::uint16_t type, Wants wants, std::uint8_t family, std::uint16_t resource)
    : NetlinkRequest(type, wants, nfgenmsg{family, NFNETLINK_V0, htons(resource)}) {}

NetlinkRequest::NetlinkRequest(std::uint16_t type, Wants wants, Bytes header) {
  nlmsghdr* const start = mnl_nlmsg_put_header(buffer_.data());
  start->nlmsg_type = type;
  start->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | (wants == Wants::kDump ? NLM_F_DUMP : NLM_F_ACK));
  auto* const own = static_cast<std::byte*>(mnl_nlmsg_put_extra_header(start, header.size()));
  std::copy(header.begin(), header.end(), own);
}

NetlinkRequest& NetlinkRequest::Put(std::uint16_t type, Bytes payload) {
  too_long_ |= !mnl_attr_put_check(message(), kBytesMax, type, payload.size(), payload.data());
  return *this;
}

NetlinkRequest& NetlinkRequest::PutText(std::uint16_t type, const std::string& text) {
  return Put(type, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
}

Bytes NetlinkRequest::bytes() const { return Bytes(buffer_).first(LoadHostOrder<std::uint32_t>(buffer_)); }

}  // namespace conntally
