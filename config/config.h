// conntally's configuration as plain values, with the defaults of the documented file. Immutable once parsed: a reload
// creates a new one. Any thread may read it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/system/event_source.h"

namespace conntally {

// A threshold with two tiers. `for_at_least` is how long the value must stay past it before the alert fires.
template <typename T>
struct Tiers {
  T warning;
  T critical;
  std::chrono::milliseconds for_at_least;

  friend bool operator==(const Tiers&, const Tiers&) = default;
};

struct Config {
  using Duration = std::chrono::milliseconds;

  struct Web {
    std::vector<std::string> listen_addresses = {"127.0.0.1:9105"};  // one at least
    std::vector<std::string> allowed_hosts;
    std::string config_file;  // the web configuration; absolute, from a flag also relative; empty: none

    friend bool operator==(const Web&, const Web&) = default;
  } web;

  struct Conntrack {
    WantedEventSource event_source = WantedEventSource::kAuto;
    std::uint32_t receive_buffer_bytes = 33'554'432;
    Duration reconcile_interval = std::chrono::seconds(60);
    std::uint32_t connections_max = 0;  // 0: follow nf_conntrack_max

    friend bool operator==(const Conntrack&, const Conntrack&) = default;
  } conntrack;

  struct Sources {
    std::uint8_t ipv4_prefix = 32;
    std::uint8_t ipv6_prefix = 128;
    std::uint32_t tracked_max = 262'144;
    Duration idle_retention = std::chrono::minutes(10);
    std::uint32_t export_top = 50;
    Duration export_hold = std::chrono::minutes(5);
    std::uint32_t export_new_max_per_hour = 600;
    std::vector<Prefix> exclude;
    std::map<std::string, std::vector<Prefix>> groups;  // named networks; each prefix is in only one

    SourceGrouping grouping() const { return {ipv4_prefix, ipv6_prefix}; }
    friend bool operator==(const Sources&, const Sources&) = default;
  } sources;

  struct Nat {
    std::uint32_t export_top = 10;

    friend bool operator==(const Nat&, const Nat&) = default;
  } nat;

  struct Destinations {
    std::uint32_t export_top = 20;

    friend bool operator==(const Destinations&, const Destinations&) = default;
  } destinations;

  struct Limit {
    Prefix source;
    std::uint32_t connections = 0;  // 0: no limit

    friend bool operator==(const Limit&, const Limit&) = default;
  };
  // The most specific prefix wins; no two are equal. A value-initialised Prefix is 0.0.0.0/0.
  std::vector<Limit> limits = {Limit{}};

  enum class RuleBackend { kNftables, kIptablesLegacy, kIp6tablesLegacy };
  struct Rules {
    Duration poll_interval = std::chrono::seconds(5);
    std::vector<RuleBackend> backends = {RuleBackend::kNftables, RuleBackend::kIptablesLegacy,
                                         RuleBackend::kIp6tablesLegacy};
    std::uint32_t series_max = 2000;

    friend bool operator==(const Rules&, const Rules&) = default;
  } rules;

  enum class Switch { kAuto, kOn, kOff };
  struct Drops {
    Switch ebpf = Switch::kAuto;
    std::vector<std::uint16_t> nflog_groups;
    bool kernel_log = true;
    std::uint32_t tracked_max = 65'536;

    friend bool operator==(const Drops&, const Drops&) = default;
  } drops;

  struct Alerts {
    using Ratio = double;
    Tiers<Ratio> table_usage = {0.75, 0.90, std::chrono::seconds(30)};
    Tiers<Duration> table_full_within = {std::chrono::minutes(30), std::chrono::minutes(5), std::chrono::minutes(1)};
    Tiers<Ratio> source_table_share = {0.25, 0.50, std::chrono::seconds(30)};
    Tiers<Ratio> source_limit_usage = {0.80, 0.95, std::chrono::seconds(10)};
    Tiers<double> source_drop_rate = {1, 100, std::chrono::seconds(30)};
    Tiers<double> source_new_rate = {200, 2000, std::chrono::seconds(30)};
    Tiers<double> source_scan = {100, 1000, std::chrono::seconds(30)};
    Tiers<double> drop_rule_spike = {10, 100, std::chrono::minutes(1)};
    Tiers<Ratio> nat_port_usage = {0.80, 0.95, std::chrono::seconds(30)};
    double clear_ratio = 0.9;

    friend bool operator==(const Alerts&, const Alerts&) = default;
  } alerts;

  enum class Severity { kInfo, kWarning, kCritical };
  struct Alertmanager {
    std::vector<std::string> urls;
    std::map<std::string, std::string> external_labels;
    std::vector<Severity> severities = {Severity::kWarning, Severity::kCritical};  // pushed ones
    struct BasicAuth {
      std::string username;       // empty: none
      std::string password_file;  // absolute

      friend bool operator==(const BasicAuth&, const BasicAuth&) = default;
    } basic_auth;
    std::string bearer_token_file;  // absolute; empty: none
    struct Tls {
      std::string ca_file;    // absolute; empty: the CAs that this host trusts
      std::string cert_file;  // our certificate and its key: absolute; empty: none
      std::string key_file;
      bool insecure_skip_verify = false;

      friend bool operator==(const Tls&, const Tls&) = default;
    } tls;

    friend bool operator==(const Alertmanager&, const Alertmanager&) = default;
  } alertmanager;

  enum class LogLevel { kDebug, kInfo, kWarning, kError };
  enum class LogFormat { kText, kJson };
  struct Log {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kText;

    friend bool operator==(const Log&, const Log&) = default;
  } log;

  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace conntally
