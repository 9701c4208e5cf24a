#include "daemon/web_access.h"

#include <spdlog/fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "config/parse.h"
#include "daemon/command_line/client/ask_daemon.h"

namespace conntally {

bool WebAccess::Take(const std::string& path) {
  const std::string path_before = control_->path();
  const bool protected_before = control_->current()->config.protects();
  const auto faults = control_->Load(path);
  if (path == control_->path()) sound_ = faults.empty();
  for (const ConfigFault& fault : faults) spdlog::error("{}", Describe(fault, path));
  if (!faults.empty()) return false;
  const auto access = control_->current();
  for (const std::string& said : http::WithoutEffect(access->config)) spdlog::info("{}: {}", path, said);
  if (!path.empty() || !path_before.empty()) {
    spdlog::info("{}: {}, {}", path.empty() ? "no web.config_file" : path, access->tls ? "TLS" : "no TLS",
                 access->config.users.empty() ? "no passwords" : "a password is asked for");
  }
  if (protected_before && !access->config.protects())
    spdlog::warn("the port is protected no more: whoever reaches it is answered");
  return true;
}

bool WebAccess::TakeIfChanged() {
  if (!control_->HaveFilesChanged()) return false;
  if (!Take(control_->path())) spdlog::error("the web configuration has faults; the old one still applies");
  return true;
}

void WebAccess::TellServing(const std::vector<std::string>& addresses, const http::Server& server,
                            bool was_passed) const {
  const auto access = control_->current();
  spdlog::info("serving {}/metrics (listening on {}{})",
               DaemonUrl(addresses.front(), server.port(), access->tls ? "https" : "http"), fmt::join(addresses, ", "),
               was_passed ? ", the socket that systemd passed; web.listen_address has no effect" : "");
  if (!server.is_beyond_loopback() || access->config.protects()) return;
  spdlog::warn(
      "others than this host may reach the port, and it tells whoever asks who talks to whom; web.config_file asks for "
      "passwords, and speaks TLS");
}

}  // namespace conntally
