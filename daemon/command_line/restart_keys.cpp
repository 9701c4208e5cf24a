#include "daemon/command_line/restart_keys.h"

namespace conntally {

std::vector<std::string> KeysThatNeedRestart(const Config& running, const Config& wanted) {
  std::vector<std::string> keys;
  const auto compare = [&](const char* key, auto section, auto member) {
    if (running.*section.*member != wanted.*section.*member) keys.emplace_back(key);
  };
  compare("web.listen_address", &Config::web, &Config::Web::listen_address);
  compare("web.allowed_hosts", &Config::web, &Config::Web::allowed_hosts);
  compare("conntrack.event_source", &Config::conntrack, &Config::Conntrack::event_source);
  compare("conntrack.receive_buffer_bytes", &Config::conntrack, &Config::Conntrack::receive_buffer_bytes);
  compare("conntrack.connections_max", &Config::conntrack, &Config::Conntrack::connections_max);
  compare("sources.ipv4_prefix", &Config::sources, &Config::Sources::ipv4_prefix);
  compare("sources.ipv6_prefix", &Config::sources, &Config::Sources::ipv6_prefix);
  compare("sources.tracked_max", &Config::sources, &Config::Sources::tracked_max);
  compare("drops.ebpf", &Config::drops, &Config::Drops::ebpf);
  compare("drops.nflog_groups", &Config::drops, &Config::Drops::nflog_groups);
  compare("drops.kernel_log", &Config::drops, &Config::Drops::kernel_log);
  compare("drops.tracked_max", &Config::drops, &Config::Drops::tracked_max);
  return keys;
}

}  // namespace conntally
