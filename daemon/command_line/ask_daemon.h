// Asking a running daemon over HTTP, as commands do. Any thread.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// "http://HOST:PORT" of the daemon with this web.listen_address; one that listens on every address is asked on this host's own.
std::string DaemonUrl(std::string listen_address);

inline constexpr std::chrono::seconds kAskPatience{5};

// The body of the answer to a GET, 16 MiB at most; ECANCELED within a second of a stop. An error's `code` is the HTTP status where
// there was one.
Result<std::string> AskDaemon(const std::string& url, std::chrono::milliseconds patience = kAskPatience, const std::stop_token& stop = {});

}  // namespace conntally
