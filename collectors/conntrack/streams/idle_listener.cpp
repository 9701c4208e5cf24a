#include "collectors/conntrack/streams/idle_listener.h"

#include <linux/netfilter/nfnetlink.h>
#include <sched.h>

#include <optional>

#include "collectors/system/threads/worker_thread.h"

namespace conntally {
namespace {

Result<NetlinkSocket> ListenInNewNamespace() {
  if (unshare(CLONE_NEWNET) != 0) return Error::FromErrno("cannot make a network namespace", errno);
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket;
  if (const auto joined = socket->Join(NFNLGRP_CONNTRACK_NEW); !joined) return joined.error();
  return socket;
}

}  // namespace

Result<NetlinkSocket> OpenIdleListener() {
  std::optional<Result<NetlinkSocket>> opened;
  // Each thread has its own network namespace.
  StartThread("idle-listener", [&] { opened = ListenInNewNamespace(); }).join();
  return std::move(*opened);
}

}  // namespace conntally
