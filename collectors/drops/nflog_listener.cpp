#include "collectors/drops/nflog_listener.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "collectors/drops/nflog_message.h"
#include "collectors/netlink/messages.h"
#include "collectors/system/capabilities.h"

namespace conntally {
namespace {

constexpr std::uint32_t kReceiveBufferBytes = 8 * 1024 * 1024;
constexpr std::uint32_t kCopyBytes = 96;                 // an IPv6 header, some extensions and the ports
constexpr std::uint32_t kPacketsPerMessage = 128;        // 0.18 us a packet instead of 2.9 one by one
constexpr std::uint32_t kFlushCentiseconds = 5;          // how long the kernel waits for that many
constexpr std::uint32_t kKernelBufferBytes = 64 * 1024;  // what it gathers them in

constexpr std::uint32_t ToNetwork(std::uint32_t value) {
  return std::endian::native == std::endian::big ? value : __builtin_bswap32(value);
}
constexpr std::uint16_t ToNetwork(std::uint16_t value) {
  return std::endian::native == std::endian::big ? value : __builtin_bswap16(value);
}

class ConfigMessage {
 public:
  explicit ConfigMessage(std::uint16_t group) {
    header_.nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
    header_.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    const nfgenmsg netfilter{AF_UNSPEC, NFNETLINK_V0, ToNetwork(group)};
    bytes_.resize(sizeof header_);
    Append(&netfilter, sizeof netfilter);
  }

  template <typename T>
  ConfigMessage& Add(std::uint16_t type, const T& payload) {
    const nlattr attribute{static_cast<std::uint16_t>(sizeof(nlattr) + sizeof payload), type};
    Append(&attribute, sizeof attribute);
    Append(&payload, sizeof payload);
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
    return *this;
  }

  Bytes Finish() {
    header_.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header_, sizeof header_);
    return bytes_;
  }

 private:
  void Append(const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }

  nlmsghdr header_{};
  std::vector<std::byte> bytes_;
};

}  // namespace

NflogListener::NflogListener(NetlinkSocket socket, std::uint16_t group)
    : socket_(std::move(socket)), group_(group), buffer_(2 * kKernelBufferBytes) {}

Result<NflogListener> NflogListener::Bind(std::uint16_t group) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  if (const auto granted = socket->SetReceiveBuffer(kReceiveBufferBytes); !granted) return granted.error();
  if (fcntl(socket->fd(), F_SETFL, O_NONBLOCK) < 0) return Error::FromErrno("cannot make a socket non-blocking", errno);
  NflogListener listener(std::move(*socket), group);
  if (const auto configured = listener.Configure(); !configured) return configured.error();
  return listener;
}

Status NflogListener::Configure() {
  const nfulnl_msg_config_cmd bind{NFULNL_CFG_CMD_BIND};
  nfulnl_msg_config_mode mode{};
  mode.copy_range = ToNetwork(kCopyBytes);
  mode.copy_mode = NFULNL_COPY_PACKET;
  ConfigMessage binding(group_);
  binding.Add(NFULA_CFG_CMD, bind);
  if (const auto sent = socket_.Send(binding.Finish()); !sent) return sent;
  if (const auto bound = AwaitAcknowledgement(); !bound) {
    const std::string name = "NFLOG group " + std::to_string(group_);
    // The kernel says EPERM for both.
    if (bound.error().code != EPERM) return Error{name + ": " + bound.error().message, bound.error().code};
    if (!HasCapability(CAP_NET_ADMIN)) return Error{name + " needs CAP_NET_ADMIN", EPERM};
    return Error{name + " is held by another process: see /proc/net/netfilter/nfnetlink_log", EBUSY};
  }
  ConfigMessage settings(group_);
  settings.Add(NFULA_CFG_MODE, mode)
      .Add(NFULA_CFG_NLBUFSIZ, ToNetwork(kKernelBufferBytes))
      .Add(NFULA_CFG_TIMEOUT, ToNetwork(kFlushCentiseconds))
      .Add(NFULA_CFG_QTHRESH, ToNetwork(kPacketsPerMessage))
      .Add(NFULA_CFG_FLAGS, ToNetwork(std::uint16_t{NFULNL_CFG_F_SEQ}));
  if (const auto sent = socket_.Send(settings.Finish()); !sent) return sent;
  return AwaitAcknowledgement();
}

// The kernel answers while it is being asked, so the answer is queued already. Packets logged before all is configured
// have no sequence yet: the first that is asked for begins at whatever the group has come to, and these few are not
// counted.
Status NflogListener::AwaitAcknowledgement() {
  for (;;) {
    const auto datagram = socket_.Receive(buffer_);
    if (!datagram) return datagram.error();
    MessageWalk walk(*datagram);
    for (Bytes message; walk.Next(message);) {
      MessageHeader header;
      if (!ReadMessageHeader(message, header) || header.type != NLMSG_ERROR) continue;
      const Bytes payload = message.subspan(MessageHeader::kBytes);
      if (payload.size() < sizeof(std::int32_t)) return Error{"a netlink error message is malformed", EPROTO};
      const auto code = static_cast<std::int32_t>(LoadHostOrder<std::uint32_t>(payload));
      if (code == 0) return Ok();
      return Error::FromErrno("the kernel refused to bind it", -code);
    }
  }
}

Status NflogListener::Receive(unsigned datagrams_max, const std::function<void(LoggedPacket&&)>& visit) {
  for (unsigned i = 0; i < datagrams_max; ++i) {
    const auto datagram = socket_.Receive(buffer_);
    if (!datagram) {
      if (datagram.error().code == EAGAIN || datagram.error().code == ENOBUFS) return Ok();
      return datagram.error();
    }
    MessageWalk walk(*datagram);
    for (Bytes message; walk.Next(message);) Take(message, visit);
  }
  return Ok();
}

void NflogListener::Take(Bytes message, const std::function<void(LoggedPacket&&)>& visit) {
  MessageHeader header;
  if (!ReadMessageHeader(message, header) || header.type == NLMSG_DONE) return;  // which ends every batch
  auto decoded = DecodeNflogMessage(message);
  if (!decoded || decoded->group != group_) {
    ++skipped_;
    return;
  }
  if (decoded->sequence) {
    if (next_sequence_) lost_ += static_cast<std::uint32_t>(*decoded->sequence - *next_sequence_);  // modulo 2^32
    next_sequence_ = static_cast<std::uint32_t>(*decoded->sequence + 1);
  }
  if (decoded->packet) {
    visit(std::move(*decoded->packet));
  } else {
    ++skipped_;
  }
}

}  // namespace conntally
