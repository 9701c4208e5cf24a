// One dump of the kernel's conntrack table, read piece by piece. It has a socket of its own, so a dump given up is gone
// with it, and events never queue behind it.
//
// Threads: one owner, in the namespace whose table is meant.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "collectors/netlink/result.h"
#include "collectors/netlink/socket.h"

namespace conntally {

class ConntrackDump {
 public:
  static Result<ConntrackDump> Begin();

  enum class Progress { kMore, kDone };
  // Reads the next piece (about 200 entries) and hands on each entry's message, which is valid during the call. An
  // error ends the dump; EINTR as its code: the kernel says that the dump is not consistent and should be repeated.
  Result<Progress> Next(const std::function<void(std::span<const std::byte>)>& visit);

 private:
  // Netlink dumps fill what the reader offers, up to 32 KiB (net/netlink/af_netlink.c, netlink_dump).
  static constexpr std::size_t kPieceBytes = 32 * 1024;

  explicit ConntrackDump(NetlinkSocket socket);
  NetlinkSocket socket_;
  std::unique_ptr<std::array<std::byte, kPieceBytes>> piece_;
};

}  // namespace conntally
