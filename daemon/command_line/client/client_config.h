// How commands show a daemon who they are: the part of Prometheus' HTTP client configuration (promtool, amtool:
// --http.config.file) that has a meaning here. Plain values; any thread.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "config/fault.h"

namespace conntally {

// Files are absolute, or relative to our own folder. Empty: none.
struct ClientConfig {
  struct BasicAuth {
    std::string username;
    std::string password;
    std::string password_file;
  } basic_auth;
  struct Tls {
    std::string ca_file;  // who signed the daemon's certificate; empty: whom this host trusts
    std::string cert_file;
    std::string key_file;
    std::string server_name;  // that the certificate has, where the URL has another one
    bool insecure_skip_verify = false;
  } tls;
};

// Paths in it are relative to its folder.
std::variant<ClientConfig, std::vector<ConfigFault>> LoadClientConfigFile(const std::string& path);

}  // namespace conntally
