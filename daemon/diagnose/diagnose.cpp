#include "daemon/diagnose/diagnose.h"

#include <algorithm>
#include <ostream>
#include <variant>

#include "collectors/nat/nat_census.h"
#include "collectors/nat/nat_reader.h"
#include "collectors/rules/iptables/ipset_reader.h"
#include "collectors/rules/iptables/legacy_reader.h"
#include "collectors/rules/nft/nft_reader.h"
#include "collectors/system/network_namespace.h"
#include "config/parse.h"
#include "daemon/command_line/client/ask_daemon.h"
#include "daemon/command_line/load_config.h"
#include "daemon/diagnose/facts/watched_text.h"
#include "daemon/diagnose/fixes/namespace_commands.h"
#include "daemon/diagnose/host/host_findings.h"
#include "daemon/diagnose/observation.h"
#include "daemon/diagnose/order.h"
#include "daemon/diagnose/report/report_text.h"
#include "daemon/diagnose/rules/rule_findings.h"
#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

class RuleReaders {
 public:
  FirewallReading Read() {
    FirewallReading snapshot;
    snapshot.backends[RuleBackend::kNftables] = nftables_.Read();
    snapshot.backends[RuleBackend::kIptablesLegacy] = iptables_legacy_.Read();
    snapshot.backends[RuleBackend::kIp6tablesLegacy] = ip6tables_legacy_.Read();
    const bool uses_ipsets = std::any_of(snapshot.backends.begin(), snapshot.backends.end(), [](const auto& each) {
      return each.second.ruleset && each.second.ruleset->uses_ipsets;
    });
    if (!uses_ipsets) return snapshot;
    if (auto sets = ReadIpsets(NftReader::kElementsMax))
      snapshot.ipsets = std::make_shared<std::vector<AddressSet>>(std::move(*sets));
    return snapshot;
  }

 private:
  NftReader nftables_;
  LegacyReader iptables_legacy_{RuleBackend::kIptablesLegacy};
  LegacyReader ip6tables_legacy_{RuleBackend::kIp6tablesLegacy};
};

// Reports what could not be read and would have mattered. False: too much to say that nothing is wrong.
bool TellWhatIsMissing(const HostFacts& host, const FirewallReading& rules, Report& report) {
  bool enough = true;
  const auto missing = [&](const char* what, const std::string& why, bool matters) {
    const bool is_explained = why.find("CAP_") != why.npos;
    report.not_checked.push_back(
        {what, why + (host.can_administer_network || is_explained ? "" : "; run it as root (it needs CAP_NET_ADMIN)"),
         matters ? Weight::kEssential : Weight::kDetail});
    enough = enough && !matters;
  };
  if (!host.first.table) missing("the conntrack table's fill and counters", host.first.table.error().message, true);
  if (!host.connections) missing("who holds the conntrack table", host.connections.error().message, true);
  if (!host.first.network) missing("the network's counters", host.first.network.error().message, false);
  if (!host.links) missing("links", host.links.error().message, true);
  if (!host.addresses) missing("this host's addresses", host.addresses.error().message, true);
  if (!host.kernel_log) missing("the kernel's log", host.kernel_log.error().message, false);
  if (host.connections && host.connections->left_out > 0) {
    missing("some connections",
            std::to_string(host.connections->left_out) + " were left out: there was no room for more", false);
  }
  for (const auto& [backend, read] : rules.backends) {
    if (!read.success && !read.failure.empty())
      missing(NameOf(backend), read.failure, !host.can_administer_network || read.present || read.lacks_capability);
  }
  return enough;
}

std::optional<NatFigures> LookAtNat(const FirewallReading& rules, Report& report) {
  NatCensus census({}, ThisKernelTakesClosedPortsAgain());
  if (const Status read = ReadTranslated({}, census); !read) {
    report.not_checked.push_back({"ports of translated addresses", read.error().message});
    return std::nullopt;
  }
  return census.Finish(SourceNatRules(rules));
}

void Check(const Case& facts, Report& report) {
  CheckTablePressure(facts, report);
  CheckNatPorts(facts, report);  // before the findings that it explains
  CheckTableCounters(facts, report);
  CheckTimeouts(facts, report);
  CheckSynFlood(facts, report);
  CheckSources(facts, report);
  CheckSourceLimits(facts, report);
  CheckReversePath(facts, report);
  CheckWhoseAddress(facts, report);
  CheckOwnAddress(facts, report);
  CheckOutsideTheFirewall(facts, report);
  CheckForwarding(facts, report);
  CheckListeners(facts, report);
  CheckEcho(facts, report);
  CheckTracking(facts, report);
  CheckHelpers(facts, report);
  CheckSavedSysctls(facts, report);
}

std::optional<RunningDaemon> AskDaemonAbout(const DaemonPeer& peer, const Question& question, Report& report) {
  auto daemon = AskRunningDaemon(peer, question);
  if (daemon) return *std::move(daemon);
  report.checked.push_back("without a running daemon's history (" + daemon.error().message + ")");
  return std::nullopt;
}

// The daemon's figures are useful only if they are from this namespace.
void KeepIfOfThisTable(std::optional<RunningDaemon>& daemon, const HostFacts& host, Report& report) {
  if (!daemon) return;
  if (!host.first.table || !WatchesTheSame(*daemon, *host.first.table)) {
    report.checked.emplace_back(
        host.first.table ? "a conntally runs, but its figures are not those of this namespace: they are left aside"
                         : "a conntally runs; without the table, nobody knows if it watches this namespace: its "
                           "figures are left aside");
    daemon.reset();
    return;
  }
  std::string line = "the running daemon's history; its tallies are ";
  line += daemon->synced ? "in step with the kernel" : "known to be stale";
  for (const std::string& name : daemon->failing_collectors) line += "; its collector " + name + " fails";
  report.checked.push_back(std::move(line));
}

// Adds what was seen on the wire to the likeliest finding, unless it is there already.
void AddWatched(const Case& facts, Report& report) {
  if (report.findings.empty() || report.findings.front().certainty <= kHygieneMax) return;
  if (!report.findings.front().tells_what_was_watched) TellWatched(facts, report.findings.front());
}

Report Look(const DiagnoseCommand& command, const Config& config, std::optional<RunningDaemon> daemon, Report report,
            bool& enough) {
  const FileRoots roots;
  HostFacts host = GatherHostFacts(command.question, roots);
  host.entered = command.netns_path.has_value();
  RuleReaders readers;
  const FirewallReading rules_before = readers.Read();
  const auto watched = Observe(command.question, host.can_watch_packets, report);
  const FirewallReading rules = readers.Read();
  host.last = ReadCounters(roots);
  host.neighbours = ReadNeighbours();
  // Reads the connections again: those opened during the observation matter.
  if (watched && host.connections) {
    if (auto connections = ListConnections(kConnectionsMax)) host.connections = std::move(connections);
  }
  KeepIfOfThisTable(daemon, host, report);
  enough = TellWhatIsMissing(host, rules, report);
  std::stable_partition(report.not_checked.begin(), report.not_checked.end(),
                        [](const Unchecked& each) { return each.weight == Weight::kEssential; });
  const Census census = host.connections ? TakeCensus(*host.connections, host.sysctls) : Census{};
  const RuleOutcome outcome = CheckRules({.question = command.question,
                                          .host = host,
                                          .before = rules_before,
                                          .after = rules,
                                          .watched = watched ? &*watched : nullptr},
                                         report);
  const Case facts{command.question, host, config, rules, census, watched, daemon, outcome, LookAtNat(rules, report)};
  Check(facts, report);
  LeaveOutWhatIsSeenToWork(facts, report);
  RankFindings(report);
  AddWatched(facts, report);
  // Untidy settings explain nothing, so they must not be the only answer to a question about a cause.
  const bool asked = command.question.source || command.question.destination || command.question.destination_port;
  const bool explained = !report.findings.empty() && (!asked || report.findings.front().certainty > kHygieneMax);
  if (!explained && enough) report.findings.insert(report.findings.begin(), NothingFound(facts, report));
  return report;
}

int ExitCode(const Report& report, bool enough) {
  const bool found = std::any_of(report.findings.begin(), report.findings.end(),
                                 [](const Finding& each) { return each.id != FindingId::kNothingFound; });
  return found ? 1 : enough ? 0 : 2;
}

}  // namespace

int Diagnose(const DiagnoseCommand& command, std::ostream& output, std::ostream& errors) {
  const ConfigOrFaults loaded = LoadConfig(command.config_file, command.overrides);
  if (const auto* faults = std::get_if<std::vector<ConfigFault>>(&loaded)) {
    for (const ConfigFault& fault : *faults) errors << Describe(fault, command.config_file.path) << '\n';
    return 2;
  }
  const Config& config = std::get<Config>(loaded);
  const auto peer = FindDaemon(config, command.peer, errors);
  if (!peer) return 2;
  Report report;
  // Before entering the namespace: the daemon's port is in its own namespace.
  auto daemon = AskDaemonAbout(*peer, command.question, report);
  if (command.netns_path) {
    if (const auto entered = EnterNetworkNamespace(*command.netns_path); !entered) {
      errors << "conntally: " << entered.error().message << '\n';
      return 2;
    }
  }
  bool enough = true;
  report = Look(command, config, std::move(daemon), std::move(report), enough);
  if (command.netns_path) RunInNamespace(*command.netns_path, report);
  output << (command.json ? JsonOf(report) : TextOf(report, command.question));
  return ExitCode(report, enough);
}

}  // namespace conntally::diagnose
