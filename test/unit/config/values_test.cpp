#include "test/support/catch.h"
#include "test/unit/config/faults.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

Config Accepted(const std::string& yaml) {
  INFO(yaml);
  const auto parsed = ParseConfig(yaml);
  REQUIRE(FaultsOf(yaml) == std::vector<std::string>{});
  return std::get<Config>(parsed);
}

bool Contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every kind of value reaches its member") {
  const Config config = Accepted(
      "web: {listen_address: '[::]:9105'}\n"
      "conntrack: {event_source: bpf, receive_buffer_bytes: 4096, reconcile_interval: 500ms, connections_max: 7}\n"
      "sources: {ipv4_prefix: 0, ipv6_prefix: 64, tracked_max: 1, export_top: 0, export_hold: 0s, "
      "export_new_max_per_hour: 1, exclude: "
      "['10.0.0.0/8', '::1']}\n"
      "destinations: {export_top: 3}\n"
      "limits: [{source: 192.0.2.7, connections: 5}, {source: 192.0.2.0/24, connections: 50}]\n"
      "rules: {backends: [nftables], poll_interval: 1h, series_max: 3}\n"
      "drops: {ebpf: off, nflog_groups: [0, 65535], kernel_log: false, tracked_max: 9}\n"
      "alerts: {table_full_within: {warning: 2h, critical: 2h, for: 0s}, source_drop_rate: {warning: 0.5, "
      "critical: 1e3}, clear_ratio: 1}\n"
      "alertmanager: {urls: ['http://127.0.0.1:9093'], external_labels: {site: berlin, rack: 7}}\n"
      "log: {level: warn, format: json}\n");
  CHECK(config.web.listen_addresses == std::vector<std::string>{"[::]:9105"});
  CHECK(config.conntrack == Config::Conntrack{WantedEventSource::kBpf, 4096, 500ms, 7});
  CHECK(config.sources.ipv4_prefix == 0);
  CHECK(config.destinations.export_top == 3);
  CHECK(config.sources.ipv6_prefix == 64);
  CHECK(config.sources.idle_retention == Config{}.sources.idle_retention);
  CHECK(config.sources.exclude == std::vector{*Prefix::Parse("10.0.0.0/8"), *Prefix::Parse("::1")});
  REQUIRE(config.limits.size() == 2);
  CHECK(config.limits[0] == Config::Limit{*Prefix::Parse("192.0.2.7"), 5});
  CHECK(config.rules == Config::Rules{1h, {Config::RuleBackend::kNftables}, 3});
  CHECK(config.drops == Config::Drops{Config::Switch::kOff, {0, 65535}, false, 9});
  CHECK(config.alerts.table_full_within == Tiers<std::chrono::milliseconds>{2h, 2h, 0s});
  CHECK(config.alerts.source_drop_rate == Tiers<double>{0.5, 1000, 30s});
  CHECK(config.alertmanager.external_labels == std::map<std::string, std::string>{{"site", "berlin"}, {"rack", "7"}});
  CHECK(config.log == Config::Log{Config::LogLevel::kWarning, Config::LogFormat::kJson});
}

TEST_CASE("a list replaces the default one") {
  CHECK(Accepted("limits: []").limits.empty());
  CHECK(Accepted("rules: {backends: []}").rules.backends.empty());
}

TEST_CASE("a switch understands what YAML writers make of on and off") {
  for (const char* word : {"on", "true", "True", "TRUE", "yes", "\"on\""}) {
    CHECK(Accepted(std::string("drops: {ebpf: ") + word + "}").drops.ebpf == Config::Switch::kOn);
    CHECK(Accepted(std::string("drops: {kernel_log: ") + word + "}").drops.kernel_log);
  }
  for (const char* word : {"off", "false", "no"}) {
    CHECK(Accepted(std::string("drops: {ebpf: ") + word + "}").drops.ebpf == Config::Switch::kOff);
    CHECK_FALSE(Accepted(std::string("drops: {kernel_log: ") + word + "}").drops.kernel_log);
  }
  CHECK(Accepted("drops: {ebpf: auto}").drops.ebpf == Config::Switch::kAuto);
  Contains(FaultOf("drops: {ebpf: maybe}"), "1:15: drops.ebpf: \"maybe\" is unknown; allowed: auto, on or off");
  Contains(FaultOf("drops: {kernel_log: 1}"), "allowed: true or false");
}

TEST_CASE("integers have ranges, and one notation") {
  Contains(FaultOf("sources: {ipv4_prefix: 33}"), "\"33\" is out of range; allowed: a whole number from 0 to 32");
  Contains(FaultOf("sources: {ipv6_prefix: 129}"), "allowed: a whole number from 0 to 128");
  Contains(FaultOf("sources: {export_top: -1}"), "\"-1\" is negative");
  Contains(FaultOf("sources: {tracked_max: 0}"), "\"0\" is out of range; allowed: a whole number from 1 to");
  Contains(FaultOf("limits: [{source: '::/0', connections: 99999999999999999999999}]"), "is out of range");
  for (const char* text : {"abc", "1.0", "0x10", "010", "1_000", "1e3", "''", "1 2", "-", "+1"}) {
    Contains(FaultOf(std::string("sources: {export_top: ") + text + "}"), "is not a whole number");
  }
}

TEST_CASE("durations have ranges") {
  Contains(FaultOf("rules: {poll_interval: 5}"),
           "\"5\" has no unit; allowed: one whole number and a unit, such as 500ms, 30s, 5m or 1h, from "
           "100ms to 24h");
  Contains(FaultOf("rules: {poll_interval: 0s}"), "\"0s\" is out of range");
  Contains(FaultOf("rules: {poll_interval: 25h}"), "\"25h\" is out of range");
  Contains(FaultOf("sources: {idle_retention: -1s}"), "is negative");
  CHECK(Accepted("alerts: {table_usage: {for: 0s}}").alerts.table_usage.for_at_least == 0s);
}

TEST_CASE("ratios lie above 0 and up to 1") {
  for (const char* text : {"0", "-0.1", "1.01", "1e300"}) {
    Contains(FaultOf(std::string("alerts: {clear_ratio: ") + text + "}"),
             "is out of range; allowed: a ratio above 0, up to 1");
  }
  for (const char* text : {"nan", ".nan", "inf", ".inf", "1e999", "90%", "0.5.5", "''"}) {
    Contains(FaultOf(std::string("alerts: {clear_ratio: ") + text + "}"), "is not a number");
  }
  CHECK(Accepted("alerts: {clear_ratio: 1}").alerts.clear_ratio == 1.0);
}

TEST_CASE("a CIDR with host bits proposes the masked one") {
  Contains(FaultOf("sources: {exclude: [192.0.2.7/24]}"),
           "1:21: sources.exclude[0]: \"192.0.2.7/24\" has bits set behind its prefix, perhaps 192.0.2.0/24 "
           "was meant");
  Contains(FaultOf("sources: {exclude: ['2001:db8::1/32']}"), "perhaps 2001:db8::/32 was meant");
  Contains(FaultOf("sources: {exclude: [192.0.2.0/33]}"), "has no prefix length from 0 to 32");
  Contains(FaultOf("sources: {exclude: ['::/129']}"), "has no prefix length from 0 to 128");
  Contains(FaultOf("sources: {exclude: [example.org/8]}"), "does not begin with an IP address");
}

TEST_CASE("a named network has prefixes, each in one network alone, and a name that a label can hold") {
  const auto groups =
      Accepted("sources: {groups: {office: [10.1.0.0/16, '2001:db8:1::/48'], vpn-2: [10.1.2.0/24], none: []}}")
          .sources.groups;
  REQUIRE(groups.size() == 3);
  CHECK(groups.at("office") == std::vector{*Prefix::Parse("10.1.0.0/16"), *Prefix::Parse("2001:db8:1::/48")});
  CHECK(groups.at("none").empty());
  CHECK(FaultOf("sources:\n  groups:\n    a: [10.0.0.0/8]\n    b: [10.0.0.0/9, 10.0.0.0/8]\n") ==
        "4:21: sources.groups.b[1]: 10.0.0.0/8 is in a already, on line 3; allowed: one network for a prefix");
  Contains(FaultOf("sources: {groups: {a: [10.0.0.0/8, '::ffff:10.0.0.0/104']}}"), "10.0.0.0/8 is given twice");
  Contains(FaultOf("sources: {groups: {a: [10.0.0.1/8]}}"), "sources.groups.a[0]: \"10.0.0.1/8\" has bits set");
  Contains(FaultOf("sources: {groups: {other: [10.0.0.0/8]}}"), "allowed: any other name");
  for (const char* name : {"''", "'a b'", "'a\"b'", "büro"}) {
    Contains(FaultOf(std::string("sources: {groups: {") + name + ": [10.0.0.0/8]}}"), "1 to 64 letters, digits");
  }
  Contains(FaultOf("sources: {groups: {" + std::string(65, 'a') + ": []}}"), "1 to 64 letters, digits");
  Contains(FaultOf("sources: {groups: {a: [], a: []}}"), "twice");
  Contains(FaultOf("sources: {groups: [10.0.0.0/8]}"), "sources.groups");
  Contains(FaultOf("sources: {groups: {a: 10.0.0.0/8}}"), "allowed: a list");
  std::string many;
  for (int i = 0; i < 101; ++i) many += "n" + std::to_string(i) + ": [], ";
  Contains(FaultOf("sources: {groups: {" + many + "}}"), "101 names; allowed: up to 100");
}

TEST_CASE("an IPv4-mapped prefix is the IPv4 one, which it is given twice with") {
  CHECK(Accepted("sources: {exclude: ['::ffff:10.0.0.0/104']}").sources.exclude ==
        std::vector{Prefix::Parse("10.0.0.0/8").value()});
  CHECK(Accepted("limits: [{source: '::ffff:192.0.2.7', connections: 5}]").limits.at(0).source.ToString() ==
        "192.0.2.7");
  Contains(FaultOf("sources: {exclude: [10.0.0.0/8, '::ffff:10.0.0.0/104']}"), "10.0.0.0/8 is given twice");
  Contains(FaultOf("sources: {exclude: ['::ffff:10.0.0.0/8']}"),
           "is an IPv4-mapped address with a prefix length below 96");
}

TEST_CASE("equal prefixes are refused, nested ones are not") {
  CHECK(FaultOf("sources:\n  exclude:\n    - 10.0.0.0/8\n    - 10.0.0.0/9\n    - 10.0.0.0/8\n") ==
        "5:7: sources.exclude[2]: 10.0.0.0/8 is given twice, first on line 3; allowed: once");
  Contains(FaultOf("limits: [{source: 192.0.2.1, connections: 1}, {source: 192.0.2.1/32, connections: 2}]"),
           "1:47: limits[1]: 192.0.2.1 is given twice, first on line 1");
}

TEST_CASE("a warning past its critical tier is refused, an equal one is not") {
  for (const char* name : {"table_usage", "source_table_share", "source_limit_usage"}) {
    const std::string key = std::string("alerts: {") + name;
    Contains(FaultOf(key + ": {warning: 0.6, critical: 0.5}}"),
             std::string("alerts.") + name + ": warning is past critical; allowed: a warning up to the critical one");
    Accepted(key + ": {warning: 0.5, critical: 0.5}}");
  }
  for (const char* name : {"source_drop_rate", "source_new_rate", "source_scan", "drop_rule_spike"}) {
    const std::string key = std::string("alerts: {") + name;
    Contains(FaultOf(key + ": {warning: 60, critical: 50}}"), "warning is past critical");
    Accepted(key + ": {warning: 50, critical: 50}}");
  }
}

TEST_CASE("of table_full_within the warning is the longer time") {
  Contains(FaultOf("alerts: {table_full_within: {warning: 4m}}"),
           "1:39: alerts.table_full_within: warning is past critical; allowed: a warning no shorter than the "
           "critical one");
  Contains(FaultOf("alerts: {table_full_within: {critical: 1h}}"),
           "1:40: alerts.table_full_within: warning is past critical");
  Accepted("alerts: {table_full_within: {warning: 5m}}");
}

TEST_CASE("a tier that cannot be read is not also compared") {
  Contains(FaultOf("alerts: {table_usage: {warning: 0.95, critical: lots}}"), "\"lots\" is not a number");
}

TEST_CASE("the severities that are pushed are known ones, each once") {
  CHECK(Accepted("alertmanager: {severities: [critical]}").alertmanager.severities ==
        std::vector{Config::Severity::kCritical});
  Contains(FaultOf("alertmanager: {severities: [fatal]}"), "\"fatal\" is unknown; allowed: info, warning or critical");
  Contains(FaultOf("alertmanager: {severities: [info, info]}"), "info is given twice");
}

TEST_CASE("backends are known ones, each once") {
  Contains(FaultOf("rules: {backends: [nft]}"),
           "1:20: rules.backends[0]: \"nft\" is unknown; allowed: nftables, iptables-legacy or ip6tables-legacy");
  Contains(FaultOf("rules: {backends: [nftables, nftables]}"), "nftables is given twice");
}

TEST_CASE("NFLOG groups are 16 bits wide, each once") {
  Contains(FaultOf("drops: {nflog_groups: [65536]}"), "allowed: a whole number from 0 to 65535");
  Contains(FaultOf("drops: {nflog_groups: [1, 2, 1]}"), "drops.nflog_groups[2]: group 1 is given twice");
}

TEST_CASE("Alertmanagers are URLs, each once") {
  Contains(FaultOf("alertmanager: {urls: [localhost]}"),
           "does not begin with http:// or https://; allowed: http://HOST");
  Contains(FaultOf("alertmanager: {urls: ['http://a', 'http://a']}"), "\"http://a\" is given twice");
}

TEST_CASE("external labels have Prometheus' names, and none that alerts have themselves") {
  Contains(FaultOf("alertmanager: {external_labels: {a-b: c}}"),
           "1:34: alertmanager.external_labels.\"a-b\": not a label name;");
  Contains(FaultOf("alertmanager: {external_labels: {severity: c}}"), "is a label that every alert has already");
  Contains(FaultOf("alertmanager: {external_labels: {a: 1, a: 2}}"), "given twice");
  Contains(FaultOf("alertmanager: {external_labels: {a: [1]}}"), "this is a list");
  Contains(FaultOf("alertmanager: {external_labels: {a: \"x\\0y\"}}"),
           "\"x\\x00y\" is too long or has control characters");
}

TEST_CASE("an Alertmanager's credentials are a whole pair or a token, from files, and never in a URL") {
  const auto basic = Accepted("alertmanager: {basic_auth: {username: me, password_file: /run/secret}}").alertmanager;
  CHECK(basic.basic_auth == Config::Alertmanager::BasicAuth{"me", "/run/secret"});
  CHECK(Accepted("alertmanager: {bearer_token_file: /run/token}").alertmanager.bearer_token_file == "/run/token");
  Contains(FaultOf("alertmanager: {basic_auth: {username: me}}"),
           "alertmanager.basic_auth: one without the other; allowed: username and password_file, or neither");
  Contains(FaultOf("alertmanager: {basic_auth: {password_file: /run/secret}}"), "one without the other");
  Contains(FaultOf("alertmanager: {basic_auth: {username: me, password_file: secret}}"), "is not an absolute path");
  Contains(FaultOf("alertmanager: {basic_auth: {username: me, password_file: /a}, bearer_token_file: /b}"),
           "given beside the other one; allowed: basic_auth or bearer_token_file");
  for (const char* url : {"http://me:hunter2@alertmanager", "http://alertmanager/?token=hunter2"}) {
    const std::string fault = FaultOf(std::string("alertmanager: {urls: ['") + url + "']}");
    Contains(fault, "it may hold a secret");
    CHECK(fault.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("a listen address is checked where it is written") {
  Contains(FaultOf("web: {listen_address: 9105}"), "\"9105\" is not a host; allowed: HOST:PORT");
}

TEST_CASE("allowed hosts are names without a port") {
  const auto parsed = ParseConfig("web: {allowed_hosts: [monitoring.example.com, gateway]}\n");
  REQUIRE(std::holds_alternative<Config>(parsed));
  CHECK(std::get<Config>(parsed).web.allowed_hosts == std::vector<std::string>{"monitoring.example.com", "gateway"});
  for (const char* host : {"'a:80'", "'http://a'", "'*.example.com'", "192.0.2.1", "''"}) {
    Contains(FaultOf(std::string("web: {allowed_hosts: [") + host + "]}"),
             "is not a host name; allowed: a host name without a port");
  }
}
