// Asking a running daemon over HTTP: what `status` and `top` do. Any thread.
#pragma once

#include <stop_token>
#include <string>

#include "collectors/netlink/result.h"

namespace conntally {

// "http://HOST:PORT" of the daemon with this web.listen_address; one that listens on every address is asked on this host's own.
std::string DaemonUrl(std::string listen_address);

// The body of the answer to a GET, 16 MiB at most, within 5 s; ECANCELED within a second of a stop. An error's `code` is the HTTP
// status where there was one.
Result<std::string> AskDaemon(const std::string& url, const std::stop_token& stop = {});

}  // namespace conntally
