// Asking a running daemon over HTTP, as commands do. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "collectors/system/result.h"
#include "config/config.h"
#include "daemon/command_line/client/client_config.h"

namespace conntally {

// "http://HOST:PORT" of the daemon with this web.listen_address; one that listens on every address is asked by
// loopback. Where the address says port 0, `bound_port` says which one it is.
std::string DaemonUrl(const std::string& listen_address, std::uint16_t bound_port = 0,
                      std::string_view scheme = "http");

// What a command's flags say of the daemon that it asks.
struct PeerFlags {
  std::optional<std::string> url;  // absent: the one that the configuration tells of
  std::optional<std::string> client_config_path;
};

// A daemon, and how to speak to it.
struct DaemonPeer {
  std::string url;  // without a path
  std::string
      pin;  // of its public key, where this host's own configuration tells it; empty: its certificate is verified
  ClientConfig client;
};

// The one that this configuration and these flags tell of. nullopt after telling every fault on `errors`.
std::optional<DaemonPeer> FindDaemon(const Config& config, const PeerFlags& flags, std::ostream& errors);

inline constexpr std::chrono::seconds kAskPatience{5};

// The body of the answer to a GET, 16 MiB at most; ECANCELED within a second of a stop. An error's `code` is the HTTP
// status where there was one.
Result<std::string> AskDaemon(const DaemonPeer& peer, const std::string& path,
                              std::chrono::milliseconds patience = kAskPatience, const std::stop_token& stop = {});

}  // namespace conntally
