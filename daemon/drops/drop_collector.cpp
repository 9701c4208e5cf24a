#include "daemon/drops/drop_collector.h"

#include <net/if.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "collectors/drops/ebpf_drops.h"
#include "collectors/drops/kernel_log.h"
#include "collectors/drops/nflog_listener.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/worker_thread.h"
#include "daemon/drops/drop_attribution.h"
#include "daemon/drops/log_prefixes.h"
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
constexpr unsigned kDatagramsAtOnce = 64;
constexpr unsigned kLogRecordsAtOnce = 2048;

// Rules looked at for one reading of their counters: a fraction of a second.
constexpr std::uint64_t kRuleLooksMax = 4'000'000;

// As the rules' figures hold it.
RuleSnapshot SnapshotOf(const RuleFigures& figures) {
  RuleSnapshot snapshot;
  for (const auto& [backend, of_backend] : figures.backends) snapshot.backends[backend] = of_backend.snapshot;
  snapshot.ipsets = figures.ipsets;
  return snapshot;
}

std::size_t RuleCount(const RuleSnapshot& snapshot) {
  std::size_t rules = 0;
  for (const auto& [backend, read] : snapshot.backends) {
    if (!read.present || !read.ruleset) continue;
    for (const Rule& rule : read.ruleset->rules) rules += 1 + rule.map.size();
  }
  return rules;
}

// Whether some rule drops and counts: else no drop can be attributed.
bool CountsDrops(const RuleSnapshot& snapshot) {
  return std::any_of(snapshot.backends.begin(), snapshot.backends.end(), [](const auto& backend) {
    const RulesetSnapshot& read = backend.second;
    if (!read.present || !read.ruleset) return false;
    return std::any_of(read.ruleset->rules.begin(), read.ruleset->rules.end(), [](const Rule& rule) {
      return rule.has_counter && (rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject);
    });
  });
}

// In the calling thread's network namespace; empty: none.
std::string InterfaceName(std::uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  return index != 0 && if_indextoname(index, name.data()) != nullptr ? name.data() : "";
}

DropTally::Moment Now() {
  return {std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()), std::chrono::steady_clock::now()};
}

// What may be otherwise the next time, unlike a capability or a kernel that lacks something.
bool Passes(const Error& error) {
  constexpr std::array kPassing = {EAGAIN, EINTR, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM};
  return std::find(kPassing.begin(), kPassing.end(), error.code) != kPassing.end();
}

Result<std::uint32_t> NamespaceInode(const std::string& path) {
  const std::string file = path.empty() ? "/proc/thread-self/ns/net" : path;
  struct stat status{};
  if (stat(file.c_str(), &status) != 0) return Error::FromErrno("cannot look at " + file, errno);
  return static_cast<std::uint32_t>(status.st_ino);
}

void CountTableFull(const TableFullLine& line, TableFullLineCounts& lines) {
  if (line.network_namespace == 0) {
    ++lines.nobodys;
  } else if (const auto own = NamespaceInode({}); own && *own == line.network_namespace) {
    ++lines.ours;
  }
}

}  // namespace

// The collector's thread's own.
struct DropCollector::Ways {
  explicit Ways(const Options& options) : sets(options.ipv4_prefix, options.ipv6_prefix) {}

  std::optional<EbpfDrops> ebpf;
  std::optional<KernelLog> kernel_log;
  bool ebpf_wanted = true;  // there, or off for good, once it is false
  bool kernel_log_wanted = true;
  Clock::time_point next_open{};
  Clock::time_point next_reading{};  // of packets logged
  std::vector<NflogListener> nflog;
  std::vector<std::uint16_t> unbound_groups;
  Clock::time_point next_bind{};
  TableFullLineCounts table_full_lines;
  std::uint64_t not_looked_up = 0;  // packets whose rule was not asked for, since kRuleLooksMax was reached
  // The rules as they were read last, and the time before, and before that. A packet is told of up to a round or two after it was
  // dropped, so it lies between the first and the last of them.
  std::shared_ptr<const RuleFigures> last_figures;
  std::vector<RuleSnapshot> readings;
  SetDrops sets;
  std::set<std::string> let_through;  // prefixes that tell of no drop
};

DropCollector::DropCollector(Options options)
    : options_(std::move(options)),
      tally_({.tracked_max = options_.drops.tracked_max, .ipv4_prefix = options_.ipv4_prefix, .ipv6_prefix = options_.ipv6_prefix},
             KeyedHash::WithRandomSecret()),
      stop_(MakeEvent()) {}

DropCollector::~DropCollector() { Stop(); }

void DropCollector::Start() {
  const bool anything = options_.drops.ebpf != Config::Switch::kOff || options_.drops.kernel_log || !options_.drops.nflog_groups.empty() ||
                        options_.rules != nullptr;  // whose sets count drops
  if (!anything || thread_.joinable()) return;
  thread_ = StartThread("drops", [this] { Run(); }, [this](const Error& error) { Publish("drops", {false, 0, error.message}); });
}

void DropCollector::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

bool DropCollector::stopping() const {
  pollfd stop{stop_.get(), POLLIN, 0};
  return poll(&stop, 1, 0) == 1;
}

void DropCollector::Run() {
  Ways ways(options_);
  if (!options_.network_namespace_path.empty()) {
    if (const auto entered = EnterNetworkNamespace(options_.network_namespace_path); !entered) {
      spdlog::error("drops: {}", entered.error().message);
      Publish("drops", {false, 0, entered.error().message});
      return;
    }
  }
  ways.unbound_groups = options_.drops.nflog_groups;
  ways.ebpf_wanted = options_.drops.ebpf != Config::Switch::kOff;
  ways.kernel_log_wanted = options_.drops.kernel_log;
  Clock::time_point next_round = Clock::now() + kRound;
  while (!stopping()) {
    OpenWanted(ways);
    BindNflogGroups(ways);
    WaitForWork(ways, next_round);
    ReceiveLogged(ways);
    if (Clock::now() < next_round) continue;
    const std::uint64_t keys = DrainEbpf(ways);
    tally_.EndRound(Now());
    FollowRules(ways);
    PublishFigures(ways);
    next_round = Clock::now() + (keys > kBusyKeys ? kBusyRound : kRound);
  }
  tally_.Settle(Now());
}

void DropCollector::OpenWanted(Ways& ways) {
  if (Clock::now() < ways.next_open) return;
  ways.next_open = Clock::now() + kRetry;
  if (ways.ebpf_wanted) AttachEbpf(ways);
  if (ways.kernel_log_wanted) OpenKernelLog(ways);
}

void DropCollector::AttachEbpf(Ways& ways) {
  const auto inode = NamespaceInode(options_.network_namespace_path);
  auto attached = inode ? EbpfDrops::Attach(*inode) : Result<EbpfDrops>(inode.error());
  ways.ebpf_wanted = !attached && Passes(attached.error());
  if (attached) {
    ways.ebpf = std::move(*attached);
    tally_.set_ebpf_counts(true);
    spdlog::info("drops: eBPF counts the packets that netfilter drops");
    Publish("ebpf", {true, 0, {}});
    return;
  }
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
  std::vector<pollfd> ready = {{stop_.get(), POLLIN, 0}};
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
      if (!ways.let_through.contains(packet.prefix)) tally_.AddLogged(packet);
    });
    if (received) continue;
    failure += fmt::format("{}NFLOG group {}: {}", failure.empty() ? "" : "; ", listener.group(), received.error().message);
    ways.next_reading = Clock::now() + kReadAgain;
  }
  if (ways.unbound_groups.empty() && !ways.nflog.empty()) Publish("nflog", {failure.empty(), 0, failure});
  if (!ways.kernel_log) return;
  const auto read = ways.kernel_log->Read(kLogRecordsAtOnce, [&](const KernelLogRecord& record) {
    if (const auto packet = ParseLogLine(record.text)) {
      if (!ways.let_through.contains(packet->prefix)) tally_.AddLogged(*packet);
    } else if (const auto full = ParseTableFullLine(record.text)) {
      CountTableFull(*full, ways.table_full_lines);
    }
  });
  if (!read) ways.next_reading = Clock::now() + kReadAgain;
  Publish("kernel_log", {static_cast<bool>(read), 0, read ? std::string() : read.error().message + "; trying again"});
}

// The number of keys that there were.
std::uint64_t DropCollector::DrainEbpf(Ways& ways) {
  if (!ways.ebpf) return 0;
  std::uint64_t keys = 0;
  const auto began = Clock::now();
  const auto drained = ways.ebpf->Drain([&](const CountedDrop& drop) {
    tally_.AddCounted(drop);
    ++keys;
  });
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  Publish("ebpf", {static_cast<bool>(drained), seconds, drained ? std::string() : drained.error().message});
  return keys;
}

// Once for each reading of the rules' counters.
void DropCollector::FollowRules(Ways& ways) {
  if (options_.rules == nullptr) return;
  auto figures = options_.rules->figures();
  if (!figures || figures == ways.last_figures) return;
  ways.last_figures = std::move(figures);
  ways.readings.push_back(SnapshotOf(*ways.last_figures));
  if (ways.readings.size() > 3) ways.readings.erase(ways.readings.begin());
  ways.let_through = PrefixesLetThrough(ways.readings.back());
  if (ways.ebpf) return AttributeToRules(ways);
  auto drops = ways.sets.Take(*ways.last_figures);
  if (ways.sets.any() || !drops.empty()) tally_.AddSetCounted(std::move(drops), Now());
}

void DropCollector::AttributeToRules(Ways& ways) {
  const RuleSnapshot& before = ways.readings.front();
  const RuleSnapshot& after = ways.readings.back();
  tally_.set_attributes(CountsDrops(after));
  if (ways.readings.size() < 2) return;
  const std::uint64_t rules = RuleCount(after) + 1;
  DropAttributor attributor(before, after);
  std::uint64_t looks = 0;
  std::map<std::string, std::uint64_t> claimed;  // packets, by rule
  tally_.Attribute(
      [&](const DropKey& key, std::uint64_t packets) -> std::optional<std::string> {
        if ((looks += rules) > kRuleLooksMax) {
          ways.not_looked_up += packets;
          return std::string();
        }
        const std::string in = InterfaceName(key.in_interface);
        const std::string out = InterfaceName(key.out_interface);
        DropAttribution found = attributor.Of(key, {in, out}, packets);
        if (!found.rule) return found.may_follow ? std::nullopt : std::optional(std::string());
        // All keys together no more than its counter rose.
        std::uint64_t& of_rule = claimed[*found.rule];
        if (of_rule != 0 && !attributor.Of(key, {in, out}, packets + of_rule).rule) return std::nullopt;
        of_rule += packets;
        return RuleLabel(*found.rule);
      },
      Now());
}

void DropCollector::Publish(const std::string& way, CollectorStatus status) {
  const std::lock_guard lock(mutex_);
  statuses_[way] = std::move(status);
}

void DropCollector::PublishFigures(const Ways& ways) {
  const DropTally::Figures figures = tally_.figures();
  std::map<std::string, std::uint64_t> overflows = {{"drop_sources", figures.sources_evicted},
                                                    {"drop_rules", figures.rules_turned_away + ways.not_looked_up},
                                                    {"drop_log_packets", figures.logged_turned_away},
                                                    {"drop_set_packets", figures.set_turned_away},
                                                    {"drop_set_elements", ways.sets.turned_away()}};
  if (ways.ebpf) {
    if (const auto losses = ways.ebpf->ReadLosses()) {
      overflows["drops_ebpf"] = losses->overflow;
      overflows["drops_ebpf_missed"] = losses->missed;
      overflows["drops_not_ip"] = losses->no_ip;
    }
  }
  for (const NflogListener& listener : ways.nflog) {
    overflows["nflog"] += listener.lost();
    overflows["nflog_not_ip"] += listener.skipped();
  }
  if (ways.kernel_log) overflows["kernel_log"] = ways.kernel_log->lost();
  const std::lock_guard lock(mutex_);
  statuses_.erase("drops");  // it goes round
  for (const auto& [what, count] : overflows) overflows_[what] = std::max(overflows_[what], count);
  table_full_lines_ = ways.table_full_lines;
}

TableFullLineCounts DropCollector::table_full_lines() const {
  const std::lock_guard lock(mutex_);
  return table_full_lines_;
}

void DropCollector::Describe(CollectorReport& report) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [way, status] : statuses_) report.statuses[way] = status;
  for (const auto& [what, count] : overflows_) report.overflows[what] = count;
}

}  // namespace conntally
