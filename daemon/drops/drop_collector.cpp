#include "daemon/drops/drop_collector.h"

#include <net/if.h>
#include <poll.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "daemon/drops/drop_ways.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

// A round. NFLOG packets are up to 50 ms late, and must name counted ones of the same or the previous round.
constexpr auto kRound = 200ms;
constexpr auto kBusyRound = 60ms;
constexpr std::uint64_t kBusyKeys = 8192;  // of the 65,536 that the kernel's map holds
constexpr auto kReadAgain = 1s;            // after a failed read
constexpr auto kLook = 1s;                 // how often to check the namespace
constexpr unsigned kDatagramsAtOnce = 64;
constexpr unsigned kLogRecordsAtOnce = 2048;

void CountTableFull(const TableFullLine& line, std::uint64_t own_inode, TableFullLineCounts& lines) {
  if (line.network_namespace == 0) ++lines.nobodys;
  if (line.network_namespace == own_inode && own_inode != 0) ++lines.ours;
}

}  // namespace

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
    // Continues the published counts if the thread is restarted.
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

// Checks once a second. False while there is no namespace.
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

// Counts stay; a program or a socket in a deleted namespace would keep it alive.
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

void DropCollector::WaitForWork(const Ways& ways, Clock::time_point until) {
  std::vector<pollfd> ready = {{worker_.stop_fd(), POLLIN, 0}};
  const bool reading = Clock::now() >= ways.next_reading;
  for (const NflogListener& listener : ways.nflog) ready.push_back({reading ? listener.fd() : -1, POLLIN, 0});
  if (reading && ways.kernel_log) ready.push_back({ways.kernel_log->fd(), POLLIN, 0});
  const auto limit = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  poll(ready.data(), ready.size(), static_cast<int>(std::max<std::chrono::milliseconds>(limit, 0ms).count()));
}

// After a failed read the descriptor stays readable, so pause.
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

// Returns the number of keys.
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

void DropCollector::Publish(const std::string& way, CollectorStatus status) {
  told_.Lock()->report.statuses[way] = std::move(status);
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
  told->report.statuses.erase("drops");  // it works
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
