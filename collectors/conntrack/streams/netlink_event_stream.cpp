#include "collectors/conntrack/streams/netlink_event_stream.h"

#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <array>

namespace conntally {

struct NetlinkEventStream::Buffers {
  std::array<mmsghdr, kBatch> headers{};
  std::array<iovec, kBatch> slices{};
  std::array<std::array<std::byte, kDatagramBytes + kPaddingBytes>, kBatch> datagrams{};

  Buffers() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      slices[i] = {datagrams[i].data(), kDatagramBytes};
      msghdr& header = headers[i].msg_hdr;
      header.msg_iov = &slices[i];
      header.msg_iovlen = 1;
    }
  }
};

NetlinkEventStream::NetlinkEventStream(NetlinkSocket socket, std::uint32_t granted_bytes)
    : socket_(std::move(socket)), granted_bytes_(granted_bytes), buffers_(std::make_unique<Buffers>()) {
  received_.messages.reserve(kBatch);
}

NetlinkEventStream::~NetlinkEventStream() = default;

Result<std::unique_ptr<EventStream>> NetlinkEventStream::Open(std::uint32_t receive_buffer_bytes) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  // The buffer first: the first event may come as soon as a group is joined.
  const auto granted = socket->SetReceiveBuffer(receive_buffer_bytes);
  if (!granted) return granted.error();
  if (const auto set = socket->IgnoreOverruns(); !set) return set.error();
  for (const unsigned group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY}) {
    if (const auto joined = socket->Join(group); !joined) return joined.error();
  }
  return std::unique_ptr<EventStream>(new NetlinkEventStream(std::move(*socket), granted.value()));
}

Result<const EventStream::Received*> NetlinkEventStream::Receive() {
  received_.messages.clear();
  received_.events = 0;
  received_.drained = true;
  const int count = recvmmsg(socket_.fd(), buffers_->headers.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return &received_;
    return Error::FromErrno("cannot receive conntrack events", errno);
  }
  received_.events = static_cast<unsigned>(count);
  received_.drained = received_.events < kBatch;
  for (std::size_t i = 0; i < received_.events; ++i) {
    const mmsghdr& header = buffers_->headers[i];
    if ((header.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++truncated_;
    } else {
      received_.messages.push_back(std::span<const std::byte>(buffers_->datagrams[i]).first(header.msg_len));
    }
  }
  return &received_;
}

Result<std::uint32_t> NetlinkEventStream::TakeLosses() {
  const auto drops = socket_.Drops();
  if (!drops) return drops.error();
  return std::exchange(truncated_, 0) + (drops.value() - std::exchange(drops_seen_, drops.value()));
}

}  // namespace conntally
