// Asks a running daemon over HTTP, for commands. Any thread.
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

// "http://HOST:PORT" of the daemon with this web.listen_address. If it listens on every address, the URL has loopback.
// If the address has port 0, `bound_port` is the real one.
std::string DaemonUrl(const std::string& listen_address, std::uint16_t bound_port = 0,
                      std::string_view scheme = "http");

// The flags of a command about the daemon that it asks.
struct PeerFlags {
  std::optional<std::string> url;  // absent: from the configuration
  std::optional<std::string> client_config_path;
};

// A daemon, and how to speak to it.
struct DaemonPeer {
  std::string url;  // without a path
  std::string pin;  // of its public key, if this host's configuration has it; empty: verify the certificate
  ClientConfig client;
};

// The daemon that this configuration and these flags name. nullopt after writing every fault to `errors`.
std::optional<DaemonPeer> FindDaemon(const Config& config, const PeerFlags& flags, std::ostream& errors);

inline constexpr std::chrono::seconds kAskPatience{5};

// The body of the answer to a GET, at most 16 MiB; ECANCELED within a second of a stop. An error's `code` is the HTTP
// status, if there was one.
Result<std::string> AskDaemon(const DaemonPeer& peer, const std::string& path,
                              std::chrono::milliseconds patience = kAskPatience, const std::stop_token& stop = {});

}  // namespace conntally
