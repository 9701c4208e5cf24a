#include "test/support/ct_load_netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace conntally::ct_load {
namespace {

// One message is some 200 bytes. The batch is bounded by the errors it may bring back, which wait in the
// socket's receive buffer until the send has returned.
constexpr std::size_t kBatchBytes = 48 * 1024;
constexpr std::size_t kMessageBytesMax = 512;
constexpr int kSocketBufferBytes = 8 * 1024 * 1024;

[[noreturn]] void Fail(const char* doing) { throw std::system_error(errno, std::generic_category(), doing); }

struct Direction {
  const std::array<std::uint8_t, 16>& source;
  const std::array<std::uint8_t, 16>& destination;
  std::uint16_t source_port;
  std::uint16_t destination_port;
  std::uint8_t icmp_type;
};

void PutTuple(nlmsghdr* header, std::uint16_t attribute, const Connection& connection, const Direction& direction) {
  nlattr* tuple = mnl_attr_nest_start(header, attribute);
  nlattr* ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  if (connection.ipv6) {
    mnl_attr_put(header, CTA_IP_V6_SRC, 16, direction.source.data());
    mnl_attr_put(header, CTA_IP_V6_DST, 16, direction.destination.data());
  } else {
    mnl_attr_put(header, CTA_IP_V4_SRC, 4, direction.source.data());
    mnl_attr_put(header, CTA_IP_V4_DST, 4, direction.destination.data());
  }
  mnl_attr_nest_end(header, ip);

  nlattr* protocol = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(header, CTA_PROTO_NUM, static_cast<std::uint8_t>(connection.protocol));
  if (connection.protocol == Protocol::kIcmp) {
    mnl_attr_put_u16(header, CTA_PROTO_ICMP_ID, htons(connection.source_port));
    mnl_attr_put_u8(header, CTA_PROTO_ICMP_TYPE, direction.icmp_type);
    mnl_attr_put_u8(header, CTA_PROTO_ICMP_CODE, 0);
  } else if (connection.protocol == Protocol::kIcmpv6) {
    mnl_attr_put_u16(header, CTA_PROTO_ICMPV6_ID, htons(connection.source_port));
    mnl_attr_put_u8(header, CTA_PROTO_ICMPV6_TYPE, direction.icmp_type);
    mnl_attr_put_u8(header, CTA_PROTO_ICMPV6_CODE, 0);
  } else {
    mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(direction.source_port));
    mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(direction.destination_port));
  }
  mnl_attr_nest_end(header, protocol);
  mnl_attr_nest_end(header, tuple);
}

void PutOriginal(nlmsghdr* header, const Connection& connection) {
  const std::uint8_t echo_request = connection.ipv6 ? 128 : 8;
  PutTuple(
      header, CTA_TUPLE_ORIG, connection,
      {connection.source, connection.destination, connection.source_port, connection.destination_port, echo_request});
}

void PutReply(nlmsghdr* header, const Connection& connection) {
  const std::uint8_t echo_reply = connection.ipv6 ? 129 : 0;
  PutTuple(
      header, CTA_TUPLE_REPLY, connection,
      {connection.destination, connection.source, connection.destination_port, connection.source_port, echo_reply});
}

void PutState(nlmsghdr* header, const Connection& connection, const EntryOptions& options) {
  // CONFIRMED may not be changed, and the entry under construction has it already.
  std::uint32_t status = IPS_CONFIRMED;
  if (connection.replied) status |= IPS_SEEN_REPLY;
  if (connection.replied && connection.protocol == Protocol::kTcp) status |= IPS_ASSURED;
  mnl_attr_put_u32(header, CTA_STATUS, htonl(status));
  mnl_attr_put_u32(header, CTA_TIMEOUT, htonl(options.timeout_seconds));
  if (connection.protocol == Protocol::kTcp) {
    nlattr* info = mnl_attr_nest_start(header, CTA_PROTOINFO);
    nlattr* tcp = mnl_attr_nest_start(header, CTA_PROTOINFO_TCP);
    mnl_attr_put_u8(header, CTA_PROTOINFO_TCP_STATE,
                    connection.tcp_state != 0 ? connection.tcp_state : options.tcp_state);
    mnl_attr_nest_end(header, tcp);
    mnl_attr_nest_end(header, info);
  }
}

std::uint16_t MessageType(Verb verb) {
  const unsigned message = verb == Verb::kDelete ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW;
  return static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | message);
}

}  // namespace

Writer::Writer(EntryOptions options) : options_(options), socket_(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC)) {
  if (!socket_) Fail("open a netlink socket");
  if (mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) Fail("bind a netlink socket");
  // CAP_ACK leaves the refused message out of the error, so that a batch refused whole still fits.
  int on = 1;
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_CAP_ACK, &on, sizeof on) < 0) Fail("set NETLINK_CAP_ACK");
  const int descriptor = mnl_socket_get_fd(socket_.get());
  for (const int buffer : {SO_RCVBUFFORCE, SO_SNDBUFFORCE}) {
    if (setsockopt(descriptor, SOL_SOCKET, buffer, &kSocketBufferBytes, sizeof kSocketBufferBytes) < 0) {
      Fail("enlarge the netlink socket's buffers (needs CAP_NET_ADMIN)");
    }
  }
  batch_.resize(kBatchBytes + kMessageBytesMax);
}

void Writer::Put(Verb verb, const Connection& connection) {
  nlmsghdr* header = mnl_nlmsg_put_header(batch_.data() + batch_bytes_);
  header->nlmsg_type = MessageType(verb);
  header->nlmsg_flags = NLM_F_REQUEST;
  if (verb == Verb::kCreate) header->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
  // The verb travels in the sequence number, so that a refusal tells which kind it refused.
  header->nlmsg_seq = (++sequence_ << 2) | static_cast<std::uint32_t>(verb);

  auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  family->nfgen_family = connection.ipv6 ? AF_INET6 : AF_INET;
  family->version = NFNETLINK_V0;

  PutOriginal(header, connection);
  if (verb == Verb::kCreate) PutReply(header, connection);
  if (verb != Verb::kDelete) PutState(header, connection, options_);
  if (connection.zone != 0) mnl_attr_put_u16(header, CTA_ZONE, htons(connection.zone));

  batch_bytes_ += (header->nlmsg_len + 3U) & ~3U;  // NLMSG_ALIGN, which is signed
  ++sent_[static_cast<std::size_t>(verb)];
  if (batch_bytes_ >= kBatchBytes) Flush();
}

void Writer::Flush() {
  if (batch_bytes_ == 0) return;
  if (mnl_socket_sendto(socket_.get(), batch_.data(), batch_bytes_) < 0) Fail("send conntrack messages");
  batch_bytes_ = 0;
  CountRefusals();
}

void Writer::CountRefusals() {
  alignas(nlmsghdr) char answer[8192];
  for (;;) {
    const ssize_t received = recv(mnl_socket_get_fd(socket_.get()), answer, sizeof answer, MSG_DONTWAIT);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (received < 0) Fail("read the kernel's refusals (the count is no longer exact)");
    int left = static_cast<int>(received);
    for (auto* header = reinterpret_cast<nlmsghdr*>(answer); mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
      if (error->error == 0) continue;
      ++refused_[error->msg.nlmsg_seq & 3];
      ++refusals_[-error->error];
    }
  }
}

}  // namespace conntally::ct_load
