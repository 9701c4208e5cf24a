#include "daemon/command_line/restart_keys.h"

#include "config/parse.h"
#include "daemon/command_line/grammar/command_line.h"
#include "test/support/catch.h"

namespace conntally {
namespace {

Config Parsed(const std::string& text) { return std::get<Config>(ParseConfig(text)); }

std::vector<std::string> Changed(const std::string& to) { return KeysThatNeedRestart(Config{}, Parsed(to)); }

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("just the keys that changed and need a restart are named") {
  CHECK(Changed("{}").empty());
  CHECK(Changed("web: {listen_address: \"127.0.0.1:9106\", allowed_hosts: [gw.example]}") ==
        Keys{"web.listen_address", "web.allowed_hosts"});
  CHECK(Changed("conntrack: {event_source: netlink, receive_buffer_bytes: 65536, reconcile_interval: 5s}") ==
        Keys{"conntrack.event_source", "conntrack.receive_buffer_bytes"});
  CHECK(Changed("conntrack: {connections_max: 7}\nsources: {ipv4_prefix: 24, ipv6_prefix: 64, tracked_max: 9}\n"
                "drops: {ebpf: off, nflog_groups: [5], kernel_log: false, tracked_max: 3}") ==
        Keys{"conntrack.connections_max", "sources.ipv4_prefix", "sources.ipv6_prefix", "sources.tracked_max",
             "drops.ebpf", "drops.nflog_groups", "drops.kernel_log", "drops.tracked_max"});
}

TEST_CASE("what a reload takes over needs no restart") {
  CHECK(Changed("conntrack: {reconcile_interval: 5s}\nsources: {idle_retention: 1m, export_top: 5, export_hold: 1m, "
                "exclude: [10.0.0.0/8]}\n"
                "limits: [{source: 10.0.0.0/8, connections: 5}]\nrules: {poll_interval: 1s, backends: [nftables], "
                "series_max: 5}\n"
                "alerts: {clear_ratio: 0.5}\nalertmanager: {urls: [\"http://127.0.0.1:9093\"]}\nlog: {level: debug, "
                "format: json}")
            .empty());
}

TEST_CASE("a key that a flag overrides has not changed, whatever the file says") {
  Overrides overrides;
  overrides.listen_addresses = {"127.0.0.1:9200"};
  Config running, wanted = Parsed("web: {listen_address: \"127.0.0.1:9106\"}");
  overrides.ApplyTo(running);
  overrides.ApplyTo(wanted);
  CHECK(KeysThatNeedRestart(running, wanted).empty());
}

}  // namespace conntally
