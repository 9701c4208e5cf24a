#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "daemon/diagnose/fixes/firewall_commands.h"
#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

struct Default {
  std::string_view name;  // after nf_conntrack_
  std::string_view value;
};

// The kernel's defaults that do not depend on the machine (nf_conntrack_standalone.c, nf_conntrack_proto_*.c). Losing
// settings that only serve observation (events, acct, timestamp, log_invalid) does no harm.
constexpr std::array<Default, 18> kDefaults = {{
    {"generic_timeout", "600"},
    {"icmp_timeout", "30"},
    {"icmpv6_timeout", "30"},
    {"tcp_be_liberal", "0"},
    {"tcp_loose", "1"},
    {"tcp_max_retrans", "3"},
    {"tcp_timeout_close", "10"},
    {"tcp_timeout_close_wait", "60"},
    {"tcp_timeout_established", "432000"},
    {"tcp_timeout_fin_wait", "120"},
    {"tcp_timeout_last_ack", "30"},
    {"tcp_timeout_max_retrans", "300"},
    {"tcp_timeout_syn_recv", "60"},
    {"tcp_timeout_syn_sent", "120"},
    {"tcp_timeout_time_wait", "120"},
    {"tcp_timeout_unacknowledged", "300"},
    {"udp_timeout", "30"},
    {"udp_timeout_stream", "120"},
}};

// Normalises white space.
std::string Squeezed(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    const bool space = letter == ' ' || letter == '\t';
    if (!space || (!result.empty() && result.back() != ' ')) result += space ? ' ' : letter;
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

struct SysctlDifference {
  std::string path;
  std::string now;
  std::string line;
  const SavedSysctl* kept;  // the file's line with another value; nullptr: no file sets it
};

std::string Dotted(std::string path) {
  if (path.find('.') == path.npos) std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

// Settings that a boot will change: a file has another value, or no file has the present one.
std::vector<SysctlDifference> FindDifferences(const Case& facts, const std::vector<SavedSysctl>& saved) {
  std::vector<SysctlDifference> differences;
  const auto& table = facts.host.last.table ? facts.host.last.table : facts.host.first.table;
  for (const auto& [path, value] : facts.host.sysctls) {
    const bool of_conntrack = path.starts_with("net/netfilter/nf_conntrack_");
    const bool of_forwarding = path == "net/ipv4/ip_forward";
    if ((!of_conntrack && !of_forwarding) || path.ends_with("_count")) continue;
    // sysctl.d applies to the first namespace; but some values are shared by all.
    const bool applies = facts.host.in_first_namespace || IsOfAllNamespaces(path);
    const SavedSysctl* kept = LastSaved(saved, path);
    if (kept != nullptr && applies) {
      if (Squeezed(kept->value) != Squeezed(value)) {
        differences.push_back(
            {path, value,
             fmt::format("{} is {}, but {} line {} says {}", Dotted(path), value, kept->file, kept->line, kept->value),
             kept});
      }
      continue;
    }
    const auto usual = std::find_if(kDefaults.begin(), kDefaults.end(), [&path = path](const Default& each) {
      return path == "net/netfilter/nf_conntrack_" + std::string(each.name);
    });
    bool unusual = usual != kDefaults.end() && usual->value != value;
    if (of_forwarding) unusual = facts.host.in_first_namespace && value == "1";
    // By default the limit is 1, 2, 4 or 8 times the buckets; somebody has set a larger one.
    if (path.ends_with("nf_conntrack_max") && table && table->buckets && table->limit)
      unusual = *table->limit > *table->buckets * 8;
    if (unusual)
      differences.push_back({path, value,
                             fmt::format("{} is {}, which is not the kernel's default, and no file of sysctl.d sets it",
                                         Dotted(path), value),
                             nullptr});
  }
  return differences;
}

// A shared value belongs to the host, and only the first namespace may write it.
RunOn BelongsOn(const std::string& path) { return IsOfAllNamespaces(path) ? RunOn::kHost : RunOn::kNamespace; }

bool IsOfModule(const std::string& path) { return path.starts_with("net/netfilter/nf_conntrack_"); }

// Somebody wrote the file on purpose, a distribution or a person, and what is in force may only have come after it: to
// apply it comes first.
std::vector<Fix> ApplyFile(const SysctlDifference& difference) {
  const std::string key = Dotted(difference.path);
  Fix apply;
  apply.run_on = BelongsOn(difference.path);
  apply.command = "sysctl -p " + ShellWord(difference.kept->file);
  apply.risk = "every line of that file holds again, as after a boot";
  apply.undo = fmt::format("sysctl -w '{}={}'", key, difference.now);
  apply.persist = "the file does, where systemd-sysctl finds the setting";
  std::vector<Fix> fixes = {std::move(apply)};
  if (!IsOfModule(difference.path)) return fixes;
  constexpr const char* kEarly = "/etc/modules-load.d/conntrack.conf";
  fixes.push_back({fmt::format("echo nf_conntrack > {}", kEarly),
                   "the module is loaded at each boot, before systemd-sysctl looks for its settings",
                   fmt::format("rm {}", kEarly), ""});
  return fixes;
}

// No file sets it: keep the present value.
Fix KeepValue(const Case& facts, const SysctlDifference& difference) {
  const std::string key = Dotted(difference.path);
  Fix fix;
  fix.risk = "none now; it keeps what is set, so be sure that it is what you want";
  if (!facts.host.in_first_namespace) {
    fix.run_on = BelongsOn(difference.path);
    fix.command = fmt::format("sysctl -w {}  # where this namespace is made", ShellWord(key + '=' + difference.now));
    return fix;
  }
  const std::string file =
      fmt::format("/etc/sysctl.d/90-{}.conf", difference.path.substr(difference.path.rfind('/') + 1));
  fix.command = fmt::format("echo '{} = {}' > {}", key, difference.now, file);
  fix.undo = "rm " + file;
  return fix;
}

}  // namespace

void CheckSavedSysctls(const Case& facts, Report& report) {
  if (!facts.host.saved_sysctls) {
    report.not_checked.push_back({"whether settings are kept over a boot", facts.host.saved_sysctls.error().message});
    return;
  }
  const auto differences = FindDifferences(facts, *facts.host.saved_sysctls);
  report.checked.push_back("whether sysctl.d keeps what is set");
  if (differences.empty()) return;
  Finding finding;
  finding.id = FindingId::kUnpersistedSysctl;
  finding.title = differences.size() == 1 ? Dotted(differences.front().path) + " will change at the next boot"
                                          : fmt::format("{} settings will change at the next boot", differences.size());
  finding.certainty = 0.08;
  finding.cause = facts.host.in_first_namespace
                      ? "set by hand, or by a file that came too early: sysctl.d does nothing for nf_conntrack_* "
                        "before the module is loaded"
                      : "set by hand in a network namespace of its own, which sysctl.d does not cover";
  for (const SysctlDifference& difference : differences) {
    finding.evidence.push_back(difference.line);
    if (difference.kept == nullptr) {
      finding.fix.push_back(KeepValue(facts, difference));
      continue;
    }
    for (Fix& fix : ApplyFile(difference)) {
      const bool there = std::any_of(finding.fix.begin(), finding.fix.end(),
                                     [&](const Fix& each) { return each.command == fix.command; });
      if (!there) finding.fix.push_back(std::move(fix));
    }
    finding.decide =
        "which value is meant where a file says another: if it is what is in force, change the line of that file";
  }
  report.findings.push_back(std::move(finding));
}

void CheckTracking(const Case& facts, Report& report) {
  const auto events = facts.Sysctl("net/netfilter/nf_conntrack_events");
  if (!events) {
    const auto& table = facts.host.last.table ? facts.host.last.table : facts.host.first.table;
    if (!table && facts.host.can_administer_network)
      report.not_checked.push_back(
          {"conntrack", "the kernel has no conntrack, or its module is not loaded: " + table.error().message});
  } else {
    report.checked.push_back(fmt::format("conntrack's own settings: events {}, acct {}, timestamp {}", *events,
                                         facts.Sysctl("net/netfilter/nf_conntrack_acct").value_or(0),
                                         facts.Sysctl("net/netfilter/nf_conntrack_timestamp").value_or(0)));
  }
  if (events == 0) {
    Finding finding;
    finding.id = FindingId::kEventsOff;
    finding.title = "conntrack sends no events: nf_conntrack_events is 0";
    finding.certainty = facts.daemon ? 0.15 : 0.1;
    finding.evidence.push_back("/proc/sys/net/netfilter/nf_conntrack_events is 0; the kernel's default is 2");
    finding.cause =
        "no packet is lost by that, but whoever follows connections (conntally, conntrackd, conntrack -E) learns "
        "nothing between two whole dumps";
    finding.fix.push_back(SetSysctl(facts, "net/netfilter/nf_conntrack_events", "1",
                                    "some CPU for each connection while somebody listens"));
    report.findings.push_back(std::move(finding));
  }
  // Without a rule that uses it, conntrack does not track, which is a fault only if somebody relies on it.
  const bool somebody_counts =
      facts.daemon || std::any_of(facts.config.limits.begin(), facts.config.limits.end(),
                                  [](const Config::Limit& limit) { return limit.connections > 0; });
  const bool traffic = facts.host.established_sockets.value_or(0) > 0;
  if (!facts.host.connections || facts.census.connections > 0 || !somebody_counts || !traffic) return;
  Finding finding;
  finding.id = FindingId::kConntrackInactive;
  finding.title = "conntrack does not track in this network namespace";
  finding.certainty = 0.18;
  finding.evidence.push_back(fmt::format("{} TCP connections are established here, and the table is empty",
                                         Grouped(*facts.host.established_sockets)));
  finding.cause =
      "conntrack only tracks where a rule uses it (ct state, -m conntrack, NAT), and not what a notrack rule excepts: "
      "there is nothing to count";
  Fix fix;
  fix.command =
      "nft 'add table inet conntally_track; add chain inet conntally_track in { type filter hook input priority 0; }; "
      "add rule inet conntally_track in ct state new counter'";
  fix.risk = "the cost of tracking, and the table's limit, hold from then on; it drops nothing";
  fix.undo = "nft delete table inet conntally_track";
  fix.persist = "the same lines in /etc/nftables.conf";
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

}  // namespace conntally::diagnose
