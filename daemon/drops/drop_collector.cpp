#include "daemon/drops/drop_collector.h"

#include <net/if.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "collectors/drops/ebpf/ebpf_drops.h"
#include "collectors/drops/logs/kernel_log.h"
#include "collectors/drops/logs/nflog_listener.h"
#include "collectors/system/network_namespace.h"
#include "daemon/drops/drop_attribution.h"
#include "daemon/drops/log_prefixes.h"
#include "daemon/drops/rule_readings.h"
#include "daemon/drops/set_drops.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

// A round. NFLOG's packets are up to 50 ms late, and shall name counted ones of the same round or the one before.
constexpr auto kRound = 200ms;
constexpr auto kBusyRound = 60ms;
constexpr std::uint64_t kBusyKeys = 8192;  // of the 65,536 that the kernel's map holds
constexpr auto kRetry = 5s;
constexpr auto kReadAgain = 1s;  // after the kernel did not hand over what it has
constexpr auto kLook = 1s;       // for the namespace
constexpr auto kReadingsSpan = 1s;
constexpr unsigned kDatagramsAtOnce = 64;
constexpr unsigned kLogRecordsAtOnce = 2048;

// Rules looked at for one reading of their counters: a fraction of a second.
constexpr std::uint64_t kRuleLooksMax = 4'000'000;

// What may be otherwise the next time, unlike a capability or a kernel that lacks something.
bool Passes(const Error& error) {
  constexpr std::array kPassing = {EAGAIN, EINTR, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM};
  return std::find(kPassing.begin(), kPassing.end(), error.code) != kPassing.end();
}

void CountTableFull(const TableFullLine& line, std::uint64_t own_inode, TableFullLineCounts& lines) {
  if (line.network_namespace == 0) ++lines.nobodys;
  if (line.network_namespace == own_inode && own_inode != 0) ++lines.ours;
}

}  // namespace

// The collector's thread's own.
struct DropCollector::Ways {
  explicit Ways(const Options& options) : network_namespace(options.network_namespace_path), sets(options.grouping) {}

  FollowedNamespace network_namespace;
  bool inside = false;
  std::uint64_t inode = 0;  // of the namespace that it is in; 0: it is in none
  Clock::time_point next_look{};
  std::map<std::string, std::uint64_t>
      losses_before;  // of ways that were closed with their namespace, by the names of overflows
  std::optional<EbpfDrops> ebpf;
  std::optional<KernelLog> kernel_log;
  std::map<std::string, std::uint64_t> reasons_before;  // likewise, by the kernel's reasons
  bool ebpf_wanted = true;                              // there, or off for good, once it is false
  bool kernel_log_wanted = true;
  Clock::time_point next_open{};
  Clock::time_point next_reading{};  // of packets logged
  std::vector<NflogListener> nflog;
  std::vector<std::uint16_t> unbound_groups;
  Clock::time_point next_bind{};
  TableFullLineCounts table_full_lines;
  std::uint64_t not_looked_up = 0;  // packets whose rule was not asked for, since kRuleLooksMax was reached
  // The rules as they were read last, and the time before, and before that, and as long ago as kReadingsSpan. A packet
  // is told of up to a round or two after it was dropped, so it lies between the first and the last of them.
  struct Reading {
    std::shared_ptr<const RuleFigures> figures;
    Clock::time_point taken;
  };
  std::vector<Reading> readings;
  SetDrops sets;
  std::set<std::string> let_through;  // prefixes that tell of no drop
};

DropCollector::DropCollector(Options options)
    : options_(std::move(options)),
      tally_({.tracked_max = options_.drops.tracked_max, .grouping = options_.grouping},
             KeyedHash::WithRandomSecret()) {}

void DropCollector::Start() {
  const bool anything = options_.drops.ebpf != Config::Switch::kOff || options_.drops.kernel_log ||
                        !options_.drops.nflog_groups.empty() || options_.rules != nullptr;  // whose sets count drops
  if (!anything || worker_.started()) return;
  worker_.Start(
      "drops", [this](const std::stop_token& stop) { Run(stop); },
      [this](const Error& error) {
        Publish("drops", {false, 0, error.message});
      });
}

void DropCollector::Run(const std::stop_token& stop) {
  Ways ways(options_);
  {
    // What was told goes on, should the thread have been here before.
    const auto told = told_.Lock();
    ways.table_full_lines = told->table_full_lines;
    ways.losses_before = told->report.overflows;
    ways.reasons_before = told->reasons;
  }
  ways.kernel_log_wanted = options_.drops.kernel_log;
  Clock::time_point next_round = Clock::now() + kRound;
  while (!stop.stop_requested()) {
    if (FollowNamespace(ways)) {
      OpenWanted(ways);
      BindNflogGroups(ways);
    }
    WaitForWork(ways, next_round);
    ReceiveLogged(ways);
    if (Clock::now() < next_round) continue;
    const std::uint64_t keys = DrainEbpf(ways);
    tally_.EndRound(Clock::now());
    FollowRules(ways);
    PublishFigures(ways);
    next_round = Clock::now() + (keys > kBusyKeys ? kBusyRound : kRound);
  }
  tally_.Settle(Clock::now());
}

// Once a second. False while there is none.
bool DropCollector::FollowNamespace(Ways& ways) {
  if (Clock::now() < ways.next_look) return ways.inside;
  ways.next_look = Clock::now() + kLook;
  const auto followed = ways.network_namespace.Follow();
  if (followed && *followed == FollowedNamespace::Outcome::kSame) return true;
  LeaveNamespace(ways);
  ways.inside = static_cast<bool>(followed);
  ways.inode = 0;
  if (followed) {
    if (const auto own = IdentifyNetworkNamespace(kOwnNetworkNamespace)) ways.inode = own->inode;
    ways.unbound_groups = options_.drops.nflog_groups;
    ways.ebpf_wanted = options_.drops.ebpf != Config::Switch::kOff;
    ways.next_bind = ways.next_open = {};
    return true;
  }
  const CollectorStatus gone{false, 0, followed.error().message};
  if (options_.drops.ebpf != Config::Switch::kOff) Publish("ebpf", gone);
  if (!options_.drops.nflog_groups.empty()) Publish("nflog", gone);
  return false;
}

// What was counted there stays counted; a program or a socket there would keep a deleted namespace alive.
void DropCollector::LeaveNamespace(Ways& ways) {
  if (!ways.inside) return;
  ReceiveLogged(ways);
  DrainEbpf(ways);
  tally_.Settle(Clock::now());
  ways.losses_before = NamespaceLosses(ways);
  ways.reasons_before = ReasonsOf(ways);
  ways.ebpf.reset();
  ways.nflog.clear();
  ways.readings.clear();
  interfaces_.Forget();
}

// eBPF before the log: what it does not see yet shall not be read there.
void DropCollector::OpenWanted(Ways& ways) {
  if (Clock::now() < ways.next_open) return;
  ways.next_open = Clock::now() + kRetry;
  if (ways.ebpf_wanted) AttachEbpf(ways);
  if (ways.ebpf) ways.ebpf->FollowConnections();
  if (ways.kernel_log_wanted) OpenKernelLog(ways);
}

void DropCollector::AttachEbpf(Ways& ways) {
  // By where the thread is: the path may stand for another one by now.
  const auto id = IdentifyNetworkNamespace(kOwnNetworkNamespace);
  auto attached = id ? EbpfDrops::Attach(static_cast<std::uint32_t>(id->inode)) : Result<EbpfDrops>(id.error());
  ways.ebpf_wanted = !attached && Passes(attached.error());
  if (attached) {
    ways.ebpf = std::move(*attached);
    tally_.set_ebpf_counts(true);
    spdlog::info("drops: eBPF counts the packets that netfilter drops");
    Publish("ebpf", {true, 0, {}});
    return;
  }
  tally_.set_ebpf_counts(false);
  const bool wanted = options_.drops.ebpf == Config::Switch::kOn;
  const std::string& reason = attached.error().message;
  if (ways.ebpf_wanted) return Publish("ebpf", {false, 0, reason + "; trying again"});
  if (!wanted) spdlog::warn("drops: eBPF is off: {}", reason);
  Publish("ebpf", {false, 0, reason, !wanted});
}

void DropCollector::OpenKernelLog(Ways& ways) {
  auto opened = KernelLog::Open(options_.kernel_log_path);
  ways.kernel_log_wanted = !opened && Passes(opened.error());
  if (opened) {
    ways.kernel_log = std::move(*opened);
    Publish("kernel_log", {true, 0, {}});
    return;
  }
  if (ways.kernel_log_wanted) return Publish("kernel_log", {false, 0, opened.error().message + "; trying again"});
  spdlog::warn("drops: the kernel's log is off: {}", opened.error().message);
  Publish("kernel_log", {false, 0, opened.error().message, true});
}

// Those that are not bound yet; one that another process holds may become free.
void DropCollector::BindNflogGroups(Ways& ways) {
  if (ways.unbound_groups.empty() || Clock::now() < ways.next_bind) return;
  ways.next_bind = Clock::now() + kRetry;
  std::string failure;
  std::erase_if(ways.unbound_groups, [&](std::uint16_t group) {
    auto bound = NflogListener::Bind(group);
    if (!bound) {
      failure += (failure.empty() ? "" : "; ") + bound.error().message;
      return false;
    }
    ways.nflog.push_back(std::move(*bound));
    spdlog::info("drops: listening to NFLOG group {}", group);
    return true;
  });
  Publish("nflog", {failure.empty(), 0, failure});
}

void DropCollector::WaitForWork(const Ways& ways, Clock::time_point until) {
  std::vector<pollfd> ready = {{worker_.stop_fd(), POLLIN, 0}};
  const bool reading = Clock::now() >= ways.next_reading;
  for (const NflogListener& listener : ways.nflog) ready.push_back({reading ? listener.fd() : -1, POLLIN, 0});
  if (reading && ways.kernel_log) ready.push_back({ways.kernel_log->fd(), POLLIN, 0});
  const auto limit = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  poll(ready.data(), ready.size(), static_cast<int>(std::max<std::chrono::milliseconds>(limit, 0ms).count()));
}

// What the kernel has and does not hand over stays readable: after a failure there is a pause.
void DropCollector::ReceiveLogged(Ways& ways) {
  if (Clock::now() < ways.next_reading) return;
  std::string failure;
  for (NflogListener& listener : ways.nflog) {
    const auto received = listener.Receive(kDatagramsAtOnce, [&](LoggedPacket&& packet) {
      if (!ways.let_through.contains(packet.prefix)) AddLogged(packet);
    });
    if (received) continue;
    failure +=
        fmt::format("{}NFLOG group {}: {}", failure.empty() ? "" : "; ", listener.group(), received.error().message);
    ways.next_reading = Clock::now() + kReadAgain;
  }
  if (ways.unbound_groups.empty() && !ways.nflog.empty()) Publish("nflog", {failure.empty(), 0, failure});
  if (!ways.kernel_log) return;
  const auto read = ways.kernel_log->Read(kLogRecordsAtOnce, [&](const KernelLogRecord& record) {
    if (auto packet = ParseLogLine(record.text)) {
      packet->key.in_interface = if_nametoindex(packet->in_interface.c_str());
      packet->key.out_interface = if_nametoindex(packet->out_interface.c_str());
      if (!ways.let_through.contains(packet->prefix)) AddLogged(*packet);
    } else if (const auto full = ParseTableFullLine(record.text)) {
      CountTableFull(*full, ways.inode, ways.table_full_lines);
    }
  });
  if (!read) ways.next_reading = Clock::now() + kReadAgain;
  Publish("kernel_log", {static_cast<bool>(read), 0, read ? std::string() : read.error().message + "; trying again"});
}

void DropCollector::AddLogged(const LoggedPacket& packet) {
  interfaces_.Look(packet.key.interface());
  tally_.AddLogged(packet);
}

// The number of keys that there were.
std::uint64_t DropCollector::DrainEbpf(Ways& ways) {
  if (!ways.ebpf) return 0;
  std::uint64_t keys = 0;
  const auto began = Clock::now();
  const auto drained = ways.ebpf->Drain([&](const CountedDrop& drop) {
    interfaces_.Look(drop.key.interface());
    tally_.AddCounted(drop);
    ++keys;
  });
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  Publish("ebpf", {static_cast<bool>(drained), seconds, drained ? std::string() : drained.error().message});
  return keys;
}

// Once for each reading of the rules' counters.
void DropCollector::FollowRules(Ways& ways) {
  if (options_.rules == nullptr || !ways.inside) return;
  options_.rules->WantSetCounters(!ways.ebpf);
  auto figures = options_.rules->figures();
  if (!figures || (!ways.readings.empty() && figures == ways.readings.back().figures)) return;
  const Clock::time_point now = Clock::now();
  ways.readings.push_back({std::move(figures), now});
  while (ways.readings.size() > 3 && now - ways.readings[1].taken > kReadingsSpan)
    ways.readings.erase(ways.readings.begin());
  const RuleFigures& last = *ways.readings.back().figures;
  ways.let_through = PrefixesLetThrough(SnapshotOf(last));
  if (ways.ebpf) return AttributeToRules(ways);
  if (!ways.sets.HasNews(last)) return;
  auto drops = ways.sets.Take(last);
  if (ways.sets.any() || !drops.empty()) tally_.AddSetCounted(std::move(drops), Clock::now());
}

void DropCollector::AttributeToRules(Ways& ways) {
  ReadingsAttributor attributor(*ways.readings.front().figures, *ways.readings.back().figures);
  tally_.set_attributes(HasDropRules(attributor.last()));
  if (ways.readings.size() < 2) return;
  const std::uint64_t rules = attributor.rules();
  std::uint64_t looks = 0;
  std::map<std::string, std::uint64_t> claimed;  // packets, by rule
  tally_.Attribute(
      [&](const DropKey& key, std::uint64_t packets) -> std::optional<DropTally::NamedRule> {
        if ((looks += rules) > kRuleLooksMax) {
          ways.not_looked_up += packets;
          return std::string();
        }
        const std::string in = interfaces_.Look(key.in_interface);
        const std::string out = interfaces_.Look(key.out_interface);
        DropAttribution found = attributor.Of(key, {in, out}, packets);
        if (!found.rule) return found.may_follow ? std::nullopt : std::optional<DropTally::NamedRule>(std::string());
        // All keys together no more than its counter rose.
        std::uint64_t& of_rule = claimed[*found.rule];
        if (of_rule != 0 && !attributor.Of(key, {in, out}, packets + of_rule).rule) return std::nullopt;
        of_rule += packets;
        return DropTally::NamedRule(RuleLabel(*found.rule), found.hook);
      },
      Clock::now());
}

void DropCollector::Publish(const std::string& way, CollectorStatus status) {
  told_.Lock()->report.statuses[way] = std::move(status);
}

// By the names of overflows.
std::map<std::string, std::uint64_t> DropCollector::NamespaceLosses(const Ways& ways) {
  std::map<std::string, std::uint64_t> losses = ways.losses_before;
  if (ways.ebpf) {
    if (const auto of_ebpf = ways.ebpf->ReadLosses()) {
      losses["drops_ebpf"] += of_ebpf->overflow;
      losses["drops_ebpf_missed"] += of_ebpf->missed;
      losses["drops_not_ip"] += of_ebpf->no_ip;
    }
  }
  for (const NflogListener& listener : ways.nflog) {
    losses["nflog"] += listener.lost();
    losses["nflog_not_ip"] += listener.skipped();
  }
  return losses;
}

std::map<std::string, std::uint64_t> DropCollector::ReasonsOf(const Ways& ways) {
  std::map<std::string, std::uint64_t> reasons = ways.reasons_before;
  if (!ways.ebpf) return reasons;
  for (const auto& [reason, packets] : ways.ebpf->ReadReasons()) reasons[reason] += packets;
  return reasons;
}

void DropCollector::PublishFigures(const Ways& ways) {
  const DropTally::Figures figures = tally_.figures();
  std::map<std::string, std::uint64_t> overflows = NamespaceLosses(ways);
  overflows["drop_sources"] = figures.sources_evicted;
  overflows["drop_rules"] = figures.rules_turned_away + ways.not_looked_up;
  overflows["drop_log_packets"] = figures.logged_turned_away;
  overflows["drop_set_packets"] = figures.set_turned_away;
  overflows["drop_set_elements"] = ways.sets.turned_away();
  overflows["drops_recent"] = figures.recent_turned_away;
  if (ways.kernel_log) overflows["kernel_log"] = ways.kernel_log->lost();
  const auto told = told_.Lock();
  told->report.statuses.erase("drops");  // it goes round
  for (const auto& [what, count] : overflows) {
    std::uint64_t& before = told->report.overflows[what];
    before = std::max(before, count);
  }
  told->table_full_lines = ways.table_full_lines;
  told->reasons = ReasonsOf(ways);
}

std::vector<RecentDrop> DropCollector::Recent(const std::function<bool(const RecentDrop&)>& wanted) const {
  std::vector<RecentDrop> drops = tally_.Recent(wanted);
  for (RecentDrop& drop : drops) drop.interface_name = interfaces_.Of(drop.interface);
  return drops;
}

TableFullLineCounts DropCollector::table_full_lines() const { return told_.Lock()->table_full_lines; }

void DropCollector::Describe(CollectorReport& report) const {
  const auto told = told_.Lock();
  report.Add(told->report);
  for (const auto& [reason, packets] : told->reasons) {
    report.figures.push_back({"conntally_kernel_dropped_packets_total",
                              "Packets that the kernel dropped without netfilter, by its own name of the reason",
                              CollectorFigure::Kind::kCounter,
                              static_cast<double>(packets),
                              {{"reason", reason}}});
  }
}

}  // namespace conntally
