#include "daemon/rules/rule_collector.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "collectors/host/network_reader.h"
#include "collectors/rules/iptables/ipset_reader.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/proc_files.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kRetryNamespace = 1s;
constexpr auto kFollow = 100ms;  // often enough that the kernel's notifications fit into the buffer

RuleBackend BackendOf(Config::RuleBackend backend) {
  switch (backend) {
    case Config::RuleBackend::kNftables: return RuleBackend::kNftables;
    case Config::RuleBackend::kIptablesLegacy: return RuleBackend::kIptablesLegacy;
    case Config::RuleBackend::kIp6tablesLegacy: return RuleBackend::kIp6tablesLegacy;
  }
  return RuleBackend::kNftables;
}

}  // namespace

void RuleCollector::Start() {
  worker_.Start(
      "rules", [this](const std::stop_token& stop) { Run(stop); },
      [this](const Error& error) {
        spdlog::error("rules: {}; trying again", error.message);
        shared_.Lock()->failure = error.message;
      });
}

void RuleCollector::set_config(const Config::Rules& config) {
  shared_.Lock()->config = config;
  eventfd_write(config_changed_.get(), 1);
}

std::shared_ptr<const RuleFigures> RuleCollector::figures() const { return shared_.Lock()->figures; }

void RuleCollector::Describe(CollectorReport& report) const {
  const auto shared = shared_.Lock();
  if (shared->figures) {
    report.overflows["rule_series"] = shared->figures->series_turned_away;
    report.overflows["rule_changes"] = shared->changes_lost;
  }
  if (!shared->failure.empty()) {
    for (const Config::RuleBackend backend : shared->config.backends)
      report.statuses[NameOf(BackendOf(backend))] = {false, 0, shared->failure};
    return;
  }
  if (!shared->figures) return;
  for (const auto& [backend, figures] : shared->figures->backends) {
    const BackendReading& read = figures.snapshot;
    if (read.present || read.lacks_capability) {
      report.statuses[NameOf(backend)] = {read.success, read.duration_seconds, read.failure, read.lacks_capability};
    }
  }
}

void RuleCollector::Run(const std::stop_token& stop) {
  LetReadersGo();  // after an exception, their sockets may have half an answer
  counters_.ReadAnew();
  while (!stop.stop_requested()) {
    const Config::Rules config = shared_.Lock()->config;
    const auto began = std::chrono::steady_clock::now();
    const bool there = EnterNamespace();
    if (there && !readers_->known) Poll(config, false, stop);  // first without sets, which may be large
    if (there) Poll(config, pace_.Due(began), stop);
    const auto pause =
        there ? config.poll_interval : std::min<std::chrono::milliseconds>(config.poll_interval, kRetryNamespace);
    WaitAndFollow(began + pause);
  }
}

void RuleCollector::LetReadersGo() {
  if (readers_) changes_lost_before_ += readers_->nftables.changes_lost();
  readers_.reset();
}

bool RuleCollector::EnterNamespace() {
  const auto followed = network_namespace_.Follow();
  if (!followed || *followed == FollowedNamespace::Outcome::kEntered) {
    LetReadersGo();
    counters_.BeginAnew();
    ipsets_.reset();
    pace_.BeginAnew();
  }
  if (followed) {
    if (!readers_) readers_.emplace();
    return true;
  }
  shared_.Lock()->failure = followed.error().message;
  return false;
}

// Reads the kernel's notifications as they come, but not more often than each kFollow.
void RuleCollector::WaitAndFollow(std::chrono::steady_clock::time_point until) {
  while (std::chrono::steady_clock::now() < until) {
    if (WaitForCall(until, readers_ ? readers_->nftables.changes_fd() : -1)) return;
    if (readers_) readers_->nftables.Follow();
    if (WaitForCall(std::min(until, std::chrono::steady_clock::now() + kFollow), -1)) return;
  }
}

// Whether it was called to stop or to take a new configuration, rather than that `also_fd` is readable or it is time.
bool RuleCollector::WaitForCall(std::chrono::steady_clock::time_point until, int also_fd) {
  const auto pause = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
  std::array<pollfd, 3> fds{pollfd{worker_.stop_fd(), POLLIN, 0}, pollfd{config_changed_.get(), POLLIN, 0},
                            pollfd{also_fd, POLLIN, 0}};
  poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(pause.count(), 0)));
  eventfd_t changes = 0;
  return eventfd_read(config_changed_.get(), &changes) == 0 || fds[0].revents != 0;
}

std::vector<IpAddress> RuleCollector::own_addresses() const { return shared_.Lock()->own_addresses; }

// Keeps the old addresses if they cannot be read.
void RuleCollector::ReadOwnAddresses() {
  const auto read = ReadLocalAddresses();
  if (!read) return;
  std::vector<IpAddress> addresses;
  for (const LocalAddress& local : *read) addresses.push_back(local.address);
  shared_.Lock()->own_addresses = std::move(addresses);
}

void RuleCollector::Poll(const Config::Rules& config, bool elements, const std::stop_token& stop) {
  FirewallReading snapshot;
  std::chrono::nanoseconds cpu{};  // for set elements
  for (const Config::RuleBackend wanted : config.backends) {
    const RuleBackend backend = BackendOf(wanted);
    switch (backend) {
      case RuleBackend::kNftables:
        snapshot.backends[backend] =
            readers_->nftables.Read({elements, set_counters_wanted_.load(std::memory_order_relaxed), stop});
        cpu = readers_->nftables.elements_cpu();
        break;
      case RuleBackend::kIptablesLegacy: snapshot.backends[backend] = readers_->iptables_legacy.Read(); break;
      case RuleBackend::kIp6tablesLegacy: snapshot.backends[backend] = readers_->ip6tables_legacy.Read(); break;
    }
  }
  if (stop.stop_requested()) return;
  readers_->known = true;
  const auto before_ipsets = ElementPace::ThreadCpu();
  AddIpsets(snapshot, elements);
  cpu += ElementPace::ThreadCpu() - before_ipsets;
  if (elements) pace_.Spent(cpu, std::chrono::steady_clock::now());
  ReadSysctls();
  ReadOwnAddresses();
  Report(snapshot);
  counters_.set_series_max(config.series_max);
  counters_.Update(std::move(snapshot), std::chrono::steady_clock::now());
  const auto shared = shared_.Lock();
  shared->figures = counters_.figures();
  shared->failure.clear();
  shared->changes_lost = changes_lost_before_ + readers_->nftables.changes_lost();
}

std::optional<std::uint64_t> RuleCollector::connections_per_source_max() const {
  const std::int64_t most = connections_per_source_max_.load(std::memory_order_relaxed);
  return most < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(most));
}

// /proc/sys/net is that of the thread that opens it.
void RuleCollector::ReadSysctls() {
  const auto is_set = [&](const char* path) { return ReadSysctlNumber(proc_, path).value_or(0) > 0; };
  forwards_.store(is_set("net/ipv4/ip_forward") || is_set("net/ipv6/conf/all/forwarding"), std::memory_order_relaxed);
  const auto per_source = ReadSysctlNumber(proc_, "net/netfilter/nf_conntrack_max_per_ip");
  connections_per_source_max_.store(per_source ? static_cast<std::int64_t>(*per_source) : -1,
                                    std::memory_order_relaxed);
}

// There are no notifications for ipsets: they are read whenever due.
void RuleCollector::AddIpsets(FirewallReading& snapshot, bool anew) {
  bool used = false;
  for (const auto& [backend, read] : snapshot.backends) used = used || read.ruleset->uses_ipsets;
  if (!used) return;
  snapshot.ipsets = ipsets_;
  if (!anew) return;
  auto sets = ReadIpsets(NftReader::kElementsMax);
  const std::string failure = sets ? "" : sets.error().message;
  ipsets_ = sets ? std::make_shared<std::vector<AddressSet>>(std::move(*sets)) : nullptr;
  snapshot.ipsets = ipsets_;
  if (failure != ipsets_failure_) {
    spdlog::log(sets ? spdlog::level::info : spdlog::level::err, "rules: ipsets: {}",
                sets ? "read again" : "cannot be read: " + failure);
  }
  ipsets_failure_ = failure;
}

// Logs in one line which backends are read, when that changes. A failing one is reported like other collectors.
void RuleCollector::Report(const FirewallReading& snapshot) {
  bool changed = false;
  std::string line;
  for (const auto& [backend, read] : snapshot.backends) {
    if (!read.success && read.present) continue;
    const std::string state = read.success ? "read" : read.failure;
    changed = changed || state != reported_[backend];
    reported_[backend] = state;
    if (!line.empty()) line += "; ";
    line += NameOf(backend);
    line += read.success ? ": " + std::to_string(read.ruleset->rules.size()) + " rules"
                         : (read.lacks_capability ? " is off: " : " is skipped: ") + read.failure;
  }
  if (changed) spdlog::info("rules: {}", line);
}

}  // namespace conntally
