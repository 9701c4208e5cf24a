// How commands authenticate to a daemon: the supported part of Prometheus' HTTP client configuration (promtool, amtool:
// --http.config.file). Plain values; any thread.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "config/fault.h"

namespace conntally {

// Paths are absolute, or relative to the working directory. Empty: none.
struct ClientConfig {
  struct BasicAuth {
    std::string username;
    std::string password;
    std::string password_file;
  } basic_auth;
  struct Tls {
    std::string ca_file;  // who signed the daemon's certificate; empty: the CAs that this host trusts
    std::string cert_file;
    std::string key_file;
    std::string server_name;  // the name in the certificate, if the URL has another one
    bool insecure_skip_verify = false;
  } tls;
};

// Paths in the file are relative to its directory.
std::variant<ClientConfig, std::vector<ConfigFault>> LoadClientConfigFile(const std::string& path);

}  // namespace conntally
