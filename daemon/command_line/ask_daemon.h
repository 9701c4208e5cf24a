// Asking a running daemon over HTTP, as commands do. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// "http://HOST:PORT" of the daemon with this web.listen_address; one that listens on every address is asked by
// loopback. Where the address says port 0, `bound_port` says which one it is.
std::string DaemonUrl(const std::string& listen_address, std::uint16_t bound_port = 0);

inline constexpr std::chrono::seconds kAskPatience{5};

// The body of the answer to a GET, 16 MiB at most; ECANCELED within a second of a stop. An error's `code` is the HTTP
// status where there was one.
Result<std::string> AskDaemon(const std::string& url, std::chrono::milliseconds patience = kAskPatience,
                              const std::stop_token& stop = {});

}  // namespace conntally
