#include "config/schema.h"

#include <algorithm>
#include <array>
#include <limits>

#include "config/log_words.h"
#include "config/values.h"

namespace conntally::config {
namespace {

using namespace std::chrono_literals;

// The kernel doubles what SO_RCVBUF asks for and keeps it in an int (net/core/sock.c).
constexpr std::uint32_t kReceiveBufferBytesMax = std::numeric_limits<std::int32_t>::max() / 2;
constexpr std::uint32_t kCountMax = std::numeric_limits<std::int32_t>::max();  // nf_conntrack_max is an int
constexpr std::uint32_t kTrackedMax = 1U << 26;
constexpr std::uint32_t kSeriesMax = 1'000'000;
constexpr std::size_t kListenAddressesMax = 64;
constexpr std::size_t kAllowedHostsMax = 256;
constexpr std::size_t kPrefixesMax = 10'000;
constexpr std::size_t kGroupsMax = 100;
constexpr std::size_t kNflogGroupsMax = 64;
constexpr std::size_t kAlertmanagersMax = 16;
constexpr std::size_t kUsernameBytesMax = 256;
constexpr double kRateMax = 1e9;
constexpr double kPortsMax = 65'536;

constexpr std::array kSeverities = {
    Choice<Config::Severity>{"info", Config::Severity::kInfo},
    Choice<Config::Severity>{"warning", Config::Severity::kWarning},
    Choice<Config::Severity>{"critical", Config::Severity::kCritical},
};
constexpr std::array kBackends = {
    Choice<Config::RuleBackend>{"nftables", Config::RuleBackend::kNftables},
    Choice<Config::RuleBackend>{"iptables-legacy", Config::RuleBackend::kIptablesLegacy},
    Choice<Config::RuleBackend>{"ip6tables-legacy", Config::RuleBackend::kIp6tablesLegacy},
};

constexpr std::array kEventSources = {
    Choice<WantedEventSource>{"auto", WantedEventSource::kAuto},
    Choice<WantedEventSource>{"netlink", WantedEventSource::kNetlink},
    Choice<WantedEventSource>{"bpf", WantedEventSource::kBpf},
};

// Many YAML writers treat `on` and `off` as booleans, and write these instead.
constexpr std::array kSwitches = {
    Choice<Config::Switch>{"auto", Config::Switch::kAuto},
    Choice<Config::Switch>{"on", Config::Switch::kOn},
    Choice<Config::Switch>{"off", Config::Switch::kOff},
    Choice<Config::Switch>{"true", Config::Switch::kOn, true},
    Choice<Config::Switch>{"false", Config::Switch::kOff, true},
    Choice<Config::Switch>{"True", Config::Switch::kOn, true},
    Choice<Config::Switch>{"TRUE", Config::Switch::kOn, true},
    Choice<Config::Switch>{"False", Config::Switch::kOff, true},
    Choice<Config::Switch>{"FALSE", Config::Switch::kOff, true},
    Choice<Config::Switch>{"yes", Config::Switch::kOn, true},
    Choice<Config::Switch>{"no", Config::Switch::kOff, true},
};

enum class WorseWhen { kHigher, kLower };

// Equal tiers are allowed: then only the critical one fires.
template <typename T>
Schema<Tiers<T>> TiersOf(const Schema<T>& threshold, WorseWhen worse = WorseWhen::kHigher) {
  auto find_problem = [worse](const Tiers<T>& tiers) -> std::optional<std::string> {
    const bool higher = worse == WorseWhen::kHigher;
    if (higher ? tiers.warning <= tiers.critical : tiers.warning >= tiers.critical) return std::nullopt;
    return std::string("warning is past critical; allowed: a warning ") +
           (higher ? "up to the critical one" : "no shorter than the critical one");
  };
  return Map<Tiers<T>>({Key("warning", &Tiers<T>::warning, threshold), Key("critical", &Tiers<T>::critical, threshold),
                        Key("for", &Tiers<T>::for_at_least, Duration(0s, 24h))},
                       Check<Tiers<T>>{{"warning", "critical"}, find_problem});
}

std::string PrefixText(const Prefix& prefix) { return prefix.ToString(); }

// A value, or a list of such.
Schema<std::vector<std::string>> OneOrMore(const Schema<std::string>& one, std::size_t most) {
  auto read = [one, list = List<std::string>(one, most, Quoted)](const Node& node, std::vector<std::string>& into,
                                                                 Reading& reading) {
    if (node.kind != Node::Kind::kSequence) {
      into.assign(1, "");
      return one.read(node, into.front(), reading);
    }
    if (!node.items.empty()) return list.read(node, into, reading);
    reading.Fault(node, "an empty list; allowed: one at least");
    return false;
  };
  return {std::move(read)};
}

Schema<Config::Web> WebSchema() {
  return Map<Config::Web>({
      Key("listen_address", &Config::Web::listen_addresses, OneOrMore(ListenAddressText(), kListenAddressesMax)),
      Key("allowed_hosts", &Config::Web::allowed_hosts, List<std::string>(HostName(), kAllowedHostsMax, Quoted)),
      Key("config_file", &Config::Web::config_file, FilePath()),
  });
}

Schema<Config::Conntrack> ConntrackSchema() {
  using Conntrack = Config::Conntrack;
  return Map<Conntrack>({
      Key("event_source", &Conntrack::event_source, OneOf(kEventSources)),
      Key("receive_buffer_bytes", &Conntrack::receive_buffer_bytes,
          Integer<std::uint32_t>(4096, kReceiveBufferBytesMax)),
      Key("reconcile_interval", &Conntrack::reconcile_interval, Duration(100ms, 24h)),
      Key("connections_max", &Conntrack::connections_max, Integer<std::uint32_t>(0, kCountMax)),
  });
}

Schema<Config::Sources> SourcesSchema() {
  using Sources = Config::Sources;
  return Map<Sources>({
      Key("ipv4_prefix", &Sources::ipv4_prefix, Integer<std::uint8_t>(0, 32)),
      Key("ipv6_prefix", &Sources::ipv6_prefix, Integer<std::uint8_t>(0, 128)),
      Key("tracked_max", &Sources::tracked_max, Integer<std::uint32_t>(1, kTrackedMax)),
      Key("idle_retention", &Sources::idle_retention, Duration(100ms, 168h)),
      Key("export_top", &Sources::export_top, Integer<std::uint32_t>(0, kSeriesMax)),
      Key("export_hold", &Sources::export_hold, Duration(0s, 168h)),
      Key("export_new_max_per_hour", &Sources::export_new_max_per_hour, Integer<std::uint32_t>(1, kSeriesMax)),
      Key("exclude", &Sources::exclude, List<Prefix>(Cidr(), kPrefixesMax, PrefixText)),
      Key("groups", &Sources::groups, NetworksByName(kGroupsMax, kPrefixesMax)),
  });
}

Schema<Config::Nat> NatSchema() {
  return Map<Config::Nat>({Key("export_top", &Config::Nat::export_top, Integer<std::uint32_t>(0, kSeriesMax))});
}

Schema<Config::Destinations> DestinationsSchema() {
  using Destinations = Config::Destinations;
  return Map<Destinations>({Key("export_top", &Destinations::export_top, Integer<std::uint32_t>(0, kSeriesMax))});
}

Schema<std::vector<Config::Limit>> LimitsSchema() {
  using Limit = Config::Limit;
  return List<Limit>(Map<Limit>({
                         RequiredKey("source", &Limit::source, Cidr()),
                         RequiredKey("connections", &Limit::connections, Integer<std::uint32_t>(0, kCountMax)),
                     }),
                     kPrefixesMax, [](const Limit& limit) { return limit.source.ToString(); });
}

// The name of a duplicate element in messages.
template <typename Choices>
auto WordOf(const Choices& choices) {
  return [&choices](const auto& value) {
    return std::string(
        std::find_if(choices.begin(), choices.end(), [&](const auto& each) { return each.value == value; })->word);
  };
}

Schema<Config::Rules> RulesSchema() {
  using Rules = Config::Rules;
  return Map<Rules>({
      Key("poll_interval", &Rules::poll_interval, Duration(100ms, 24h)),
      Key("backends", &Rules::backends,
          List<Config::RuleBackend>(OneOf(kBackends), kBackends.size(), WordOf(kBackends))),
      Key("series_max", &Rules::series_max, Integer<std::uint32_t>(0, kSeriesMax)),
  });
}

Schema<Config::Drops> DropsSchema() {
  using Drops = Config::Drops;
  const auto name = [](const std::uint16_t& group) { return "group " + std::to_string(group); };
  return Map<Drops>({
      Key("ebpf", &Drops::ebpf, OneOf(kSwitches)),
      Key("nflog_groups", &Drops::nflog_groups,
          List<std::uint16_t>(Integer<std::uint16_t>(0, 65'535), kNflogGroupsMax, name)),
      Key("kernel_log", &Drops::kernel_log, Boolean()),
      Key("tracked_max", &Drops::tracked_max, Integer<std::uint32_t>(1, kTrackedMax)),
  });
}

Schema<Config::Alerts> AlertsSchema() {
  using Alerts = Config::Alerts;
  const auto rate = Number(0.001, kRateMax);
  return Map<Alerts>({
      Key("table_usage", &Alerts::table_usage, TiersOf(Ratio())),
      Key("table_full_within", &Alerts::table_full_within, TiersOf(Duration(1s, 168h), WorseWhen::kLower)),
      Key("source_table_share", &Alerts::source_table_share, TiersOf(Ratio())),
      Key("source_limit_usage", &Alerts::source_limit_usage, TiersOf(Ratio())),
      Key("source_drop_rate", &Alerts::source_drop_rate, TiersOf(rate)),
      Key("source_new_rate", &Alerts::source_new_rate, TiersOf(rate)),
      Key("source_scan", &Alerts::source_scan, TiersOf(Number(1, kPortsMax))),
      Key("drop_rule_spike", &Alerts::drop_rule_spike, TiersOf(Number(1, kRateMax))),
      Key("nat_port_usage", &Alerts::nat_port_usage, TiersOf(Ratio())),
      Key("clear_ratio", &Alerts::clear_ratio, Ratio()),
  });
}

Schema<Config::Alertmanager::Tls> AlertmanagerTlsSchema() {
  using Tls = Config::Alertmanager::Tls;
  const auto half_pair = [](const Tls& tls) -> std::optional<std::string> {
    if (tls.cert_file.empty() == tls.key_file.empty()) return std::nullopt;
    return "one without the other; allowed: cert_file and key_file, or neither";
  };
  return Map<Tls>(
      {Key("ca_file", &Tls::ca_file, FilePath()), Key("cert_file", &Tls::cert_file, FilePath()),
       Key("key_file", &Tls::key_file, FilePath()), Key("insecure_skip_verify", &Tls::insecure_skip_verify, Boolean())},
      Check<Tls>{{"cert_file", "key_file"}, half_pair});
}

Schema<Config::Alertmanager> AlertmanagerSchema() {
  using Alertmanager = Config::Alertmanager;
  using BasicAuth = Alertmanager::BasicAuth;
  const auto name = [](const std::string& url) { return Quoted(url); };
  const auto half_basic = [](const BasicAuth& basic) -> std::optional<std::string> {
    if (basic.username.empty() == basic.password_file.empty()) return std::nullopt;
    return "one without the other; allowed: username and password_file, or neither";
  };
  const auto two_ways = [](const Alertmanager& alertmanager) -> std::optional<std::string> {
    if (alertmanager.basic_auth.username.empty() || alertmanager.bearer_token_file.empty()) return std::nullopt;
    return "given beside the other one; allowed: basic_auth or bearer_token_file";
  };
  const auto basic_auth = Map<BasicAuth>({Key("username", &BasicAuth::username, LineOfText(kUsernameBytesMax)),
                                          Key("password_file", &BasicAuth::password_file, FilePath())},
                                         Check<BasicAuth>{{"username", "password_file"}, half_basic});
  return Map<Alertmanager>(
      {
          Key("urls", &Alertmanager::urls, List<std::string>(Url(), kAlertmanagersMax, name)),
          Key("external_labels", &Alertmanager::external_labels, ExternalLabels()),
          Key("severities", &Alertmanager::severities,
              List<Config::Severity>(OneOf(kSeverities), kSeverities.size(), WordOf(kSeverities))),
          Key("basic_auth", &Alertmanager::basic_auth, basic_auth),
          Key("bearer_token_file", &Alertmanager::bearer_token_file, FilePath()),
          Key("tls_config", &Alertmanager::tls, AlertmanagerTlsSchema()),
      },
      Check<Alertmanager>{{"basic_auth", "bearer_token_file"}, two_ways});
}

Schema<Config::Log> LogSchema() {
  return Map<Config::Log>({
      Key("level", &Config::Log::level, OneOf(kLogLevels)),
      Key("format", &Config::Log::format, OneOf(kLogFormats)),
  });
}

}  // namespace

const Schema<Config>& ConfigSchema() {
  static const Schema<Config> schema = Map<Config>({
      Key("web", &Config::web, WebSchema()),
      Key("conntrack", &Config::conntrack, ConntrackSchema()),
      Key("sources", &Config::sources, SourcesSchema()),
      Key("destinations", &Config::destinations, DestinationsSchema()),
      Key("nat", &Config::nat, NatSchema()),
      Key("limits", &Config::limits, LimitsSchema()),
      Key("rules", &Config::rules, RulesSchema()),
      Key("drops", &Config::drops, DropsSchema()),
      Key("alerts", &Config::alerts, AlertsSchema()),
      Key("alertmanager", &Config::alertmanager, AlertmanagerSchema()),
      Key("log", &Config::log, LogSchema()),
  });
  return schema;
}

}  // namespace conntally::config
