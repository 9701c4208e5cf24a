#include "daemon/diagnose/facts/case.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/fixes/firewall_commands.h"

namespace conntally::diagnose {
namespace {

std::uint64_t ValueIn(const Reading& reading, TableCounter counter) {
  return reading.table ? reading.table->counter(counter) : 0;
}

std::uint64_t ValueIn(const Reading& reading, const std::string& name) {
  if (!reading.network) return 0;
  const auto found = reading.network->find(name);
  return found == reading.network->end() ? 0 : found->second;
}

}  // namespace

std::uint64_t Case::Total(TableCounter counter) const {
  return std::max(ValueIn(host.first, counter), ValueIn(host.last, counter));
}

std::uint64_t Case::Growth(TableCounter counter) const {
  if (!host.first.table || !host.last.table) return 0;
  const std::uint64_t before = ValueIn(host.first, counter);
  const std::uint64_t after = ValueIn(host.last, counter);
  return after > before ? after - before : 0;
}

std::uint64_t Case::Total(const std::string& counter) const {
  return std::max(ValueIn(host.first, counter), ValueIn(host.last, counter));
}

std::uint64_t Case::Growth(const std::string& counter) const {
  if (!host.first.network || !host.last.network) return 0;
  const std::uint64_t before = ValueIn(host.first, counter);
  const std::uint64_t after = ValueIn(host.last, counter);
  return after > before ? after - before : 0;
}

double Case::ObservedSeconds() const { return std::chrono::duration<double>(host.last.when - host.first.when).count(); }

bool Case::IsSeenToWork() const {
  if (!watched || watched->flows.empty() || !watched->stalled.empty()) return false;
  const auto works = [&](const WatchedFlow& flow) { return watched->IsAccepted(flow); };
  // The last ones may still wait for their answer.
  return std::ranges::any_of(watched->flows, works) &&
         std::ranges::all_of(watched->flows, [&](const WatchedFlow& flow) {
           return works(flow) || (flow.answer == WatchedFlow::Answer::kNone && !watched->IsUnanswered(flow));
         });
}

bool Case::WorkedLately() const {
  constexpr std::int64_t kLately = 60;  // seconds
  if (!host.connections || !question.destination_port || (watched && !watched->flows.empty())) return false;
  const auto whole_timeout = [&](const Connection& connection) -> std::optional<std::int64_t> {
    const std::string prefix = "net/netfilter/nf_conntrack_";
    if (connection.key.protocol == IPPROTO_UDP) return Sysctl(prefix + "udp_timeout_stream");
    switch (connection.tcp_state) {
      case TcpState::kEstablished: return Sysctl(prefix + "tcp_timeout_established");
      case TcpState::kFinWait: return Sysctl(prefix + "tcp_timeout_fin_wait");
      case TcpState::kCloseWait: return Sysctl(prefix + "tcp_timeout_close_wait");
      case TcpState::kLastAck: return Sysctl(prefix + "tcp_timeout_last_ack");
      case TcpState::kTimeWait: return Sysctl(prefix + "tcp_timeout_time_wait");
      default: return std::nullopt;
    }
  };
  return std::any_of(
      host.connections->connections.begin(), host.connections->connections.end(), [&](const Connection& connection) {
        const FlowKey& key = connection.key;
        const bool asked = key.protocol == question.protocol.value_or(std::uint8_t{IPPROTO_TCP}) &&
                           key.destination_port == *question.destination_port &&
                           question.source.value_or(key.SourceAddress()) == key.SourceAddress() &&
                           (!question.destination || *question.destination == IpAddress{key.destination, key.family});
        if (!asked || (connection.status & IPS_SEEN_REPLY) == 0) return false;
        const auto whole = whole_timeout(connection);
        return whole && *whole - std::int64_t{connection.timeout_seconds} <= kLately;
      });
}

void Case::HoldAgainstRules(Finding& finding) const {
  if (outcome.passes != Match::kMaybe) return;
  std::string unread;
  for (const std::string& name : outcome.unread) unread += (unread.empty() ? "" : ", ") + name;
  finding.certainty = std::min(finding.certainty, kUnreadMax);
  std::string line = "not known: whether an earlier rule stops or redirects it; ";
  line += unread.empty() ? "some conditions were not understood" : "not read: " + unread;
  finding.evidence.push_back(std::move(line));
  std::rotate(finding.evidence.begin(), finding.evidence.end() - 1, finding.evidence.end());
}

std::string Grouped(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string grouped;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string Percent(double share) { return fmt::format("{:.0f} %", share * 100); }

std::string Lasting(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 100 * 60) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{:.0f} h", seconds / 3600);
  return fmt::format("{:.0f} d", seconds / 86400);
}

std::string GuardTable(const FirewallReading& rules, std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  name = "conntally_" + name;
  const auto taken = [&](const std::string& table) {
    const auto nft = rules.backends.find(RuleBackend::kNftables);
    if (nft == rules.backends.end() || !nft->second.ruleset) return false;
    const auto& chains = nft->second.ruleset->chains;
    return std::any_of(chains.begin(), chains.end(), [&](const RuleChain& chain) { return chain.table == table; });
  };
  std::string free = name;
  for (int number = 2; taken(free); ++number) free = fmt::format("{}_{}", name, number);
  return free;
}

Fix AddGuardRule(const Case& facts, const std::string& name, const std::string& rule, const std::string& risk) {
  const std::string table = GuardTable(facts.rules, name);
  Fix fix;
  // After conntrack, before the filter's own chains.
  fix.command = fmt::format(
      "nft 'add table inet {0}; add chain inet {0} in {{ type filter hook prerouting priority -10; }}; add rule inet "
      "{0} in {1}'",
      table, rule);
  fix.risk = risk;
  fix.undo = "nft delete table inet " + table;
  fix.persist = fmt::format("nft list table inet {} >> /etc/nftables.conf", table);
  return fix;
}

bool IsOfAllNamespaces(const std::string& path) {
  return path.ends_with("/nf_conntrack_max") || path.ends_with("/nf_conntrack_buckets") ||
         path.ends_with("/nf_conntrack_expect_max");
}

Fix SetSysctl(const Case& facts, const std::string& path, const std::string& value, const std::string& risk) {
  std::string key = path;
  // sysctl(8) accepts a key with slashes; dots read better, unless a link's name contains one.
  if (key.find('.') == key.npos) std::replace(key.begin(), key.end(), '/', '.');
  const auto old = facts.host.sysctls.find(path);
  Fix fix;
  // Quoted, since a container's root chooses its links' names.
  fix.command = "sysctl -w " + ShellWord(key + '=' + value);
  fix.risk = risk;
  if (old != facts.host.sysctls.end()) fix.undo = "sysctl -w " + ShellWord(key + '=' + old->second);
  const bool of_all = IsOfAllNamespaces(path);
  if (of_all) fix.run_on = RunOn::kHost;
  if (of_all && !facts.host.in_first_namespace) {
    fix.risk +=
        (fix.risk.empty() ? "" : "; ") + std::string("it is one value for all namespaces, to be set in the first one");
  }
  fix.persist = facts.host.in_first_namespace || of_all
                    ? fmt::format("echo {} > /etc/sysctl.d/90-{}.conf", ShellWord(key + " = " + value),
                                  path.substr(path.rfind('/') + 1))
                    : "sysctl.d only covers the initial network namespace: put the command where this one is created";
  // Another file would contradict the one that sets it.
  const SavedSysctl* kept = facts.host.saved_sysctls ? LastSaved(*facts.host.saved_sysctls, path) : nullptr;
  if (kept != nullptr && (facts.host.in_first_namespace || of_all)) {
    fix.persist = kept->value == value
                      ? fmt::format("{} line {} says so already", kept->file, kept->line)
                      : fmt::format("{} line {} says {}: change it there", kept->file, kept->line, kept->value);
  }
  return fix;
}

}  // namespace conntally::diagnose
