// What commands ask a running daemon, over HTTP on this host. Any thread.
#pragma once

#include <chrono>
#include <string>

#include "collectors/netlink/result.h"

namespace conntally {

// The body of the answer to GET `path`, e.g. "/api/v1/status", from the daemon that `listen_address` is configured for; one that listens on
// every address is asked on this host's own. An answer is at most 1 MiB.
Result<std::string> AskDaemon(std::string listen_address, const std::string& path, std::chrono::milliseconds timeout);

}  // namespace conntally
